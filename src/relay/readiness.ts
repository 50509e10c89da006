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
  /** Those who wait. A promise that all of them raced against would keep what they left behind until the drain. */
  const waiting = new Set<() => void>();
  return {
    get current() {
      return current;
    },
    become(next) {
      if (next === current) return;
      current = next;
      for (const wake of [...waiting]) wake();
    },
    changed(signal) {
      if (signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const wake = () => {
          waiting.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        waiting.add(wake);
        signal.addEventListener("abort", wake, { once: true });
      });
    },
  };
}
