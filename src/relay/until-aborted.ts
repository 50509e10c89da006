/**
 * The same, until the signal aborts: it then rejects with the signal's reason, also while the next one is waited for. A
 * body whose peer is silent says nothing of a deadline.
 */
export async function* untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void> {
  const iterator = source[Symbol.asyncIterator]();
  for (;;) {
    const next = await orAborted(iterator.next(), signal);
    if (next.done === true) return;
    yield next.value;
  }
}

/** By hand: a race against one promise for all of them would keep a trace of each until the signal aborts. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    const settle = () => signal.removeEventListener("abort", abort);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).then(settle);
    if (signal.aborted) abort();
  });
}
