export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Resolves when it holds; rejects with what was waited for where it does not within the time. */
export async function until(what: string, holds: () => boolean, patienceMs = 120_000): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`gave up waiting until ${what}`);
    await pause(10);
  }
}
