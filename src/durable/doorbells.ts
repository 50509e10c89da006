import type { Ring } from "./session-log.ts";

/** Who wants to hear that something moved, by key. Backs `SessionLog.watch` where writer and watcher share a process. */
export interface Doorbells {
  watch(key: string, ring: Ring): () => void;
  /** Calls everybody who watches this key. One that throws does not keep the others from hearing. */
  ring(key: string, head?: number): void;
  clear(): void;
}

export function createDoorbells(): Doorbells {
  const rings = new Map<string, Set<Ring>>();
  return {
    watch(key, ring) {
      // Two watches with the same function are two watches.
      const own: Ring = (head) => ring(head);
      const watching = rings.get(key) ?? new Set();
      rings.set(key, watching.add(own));
      return () => {
        watching.delete(own);
        if (watching.size === 0 && rings.get(key) === watching) rings.delete(key);
      };
    },
    ring(key, head) {
      const watching = rings.get(key);
      if (watching === undefined) return;
      for (const ring of [...watching]) {
        if (!watching.has(ring)) continue;
        try {
          ring(head);
        } catch {
          // A doorbell promises nothing to the log, and the log nothing to it: its owner polls the head as well.
        }
      }
    },
    clear: () => rings.clear(),
  };
}
