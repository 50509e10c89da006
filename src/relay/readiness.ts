/** What an instance says of itself. `draining` is the last of it. */
export type Readiness = "starting" | "ready" | "draining";

export interface ReadinessState {
  readonly current: Readiness;
  become(next: Readiness): void;
  /** Resolves at the next change, or when the signal aborts. */
  changed(signal: AbortSignal): Promise<void>;
}

export function createReadiness(): ReadinessState {
  let current: Readiness = "starting";
  const changes = new EventTarget();
  return {
    get current() {
      return current;
    },
    become(next) {
      if (next === current) return;
      current = next;
      changes.dispatchEvent(new Event("change"));
    },
    changed(signal) {
      return new Promise((resolve) => {
        if (signal.aborted) return resolve();
        // With the signal, so that nothing is left here of those who go before the next change: it may be days away.
        changes.addEventListener("change", () => resolve(), { once: true, signal });
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    },
  };
}
