/** Who wants to hear that something moved, by key. Backs `SessionLog.watch` where writer and watcher share a process. */
export interface Doorbells {
  watch(key: string, ring: () => void): () => void;
  /** Calls everybody who watches this key. One that throws does not keep the others from hearing. */
  ring(key: string): void;
  clear(): void;
}

export function createDoorbells(): Doorbells {
  const rings = new Map<string, Set<() => void>>();
  return {
    watch(key, ring) {
      // Two watches with the same function are two watches.
      const own = () => ring();
      const watching = rings.get(key) ?? new Set();
      rings.set(key, watching.add(own));
      return () => {
        watching.delete(own);
        if (watching.size === 0 && rings.get(key) === watching) rings.delete(key);
      };
    },
    ring(key) {
      const watching = rings.get(key);
      if (watching === undefined) return;
      for (const ring of [...watching]) {
        if (!watching.has(ring)) continue;
        try {
          ring();
        } catch {
          // A doorbell promises nothing to the log, and the log nothing to it: its owner polls the head as well.
        }
      }
    },
    clear: () => rings.clear(),
  };
}
