import type { RelayContext } from "./context.ts";

/**
 * As `defer`, but one at a time, whoever asks: work that takes some milliseconds in a turn of the event loop does not add
 * up where many do it at once, and what others wait for is never behind more than one of them.
 */
export function createTurns(defer: RelayContext["defer"]): RelayContext["defer"] {
  const waiting: (() => void)[] = [];
  const takeOne = () => {
    const run = waiting.shift();
    if (waiting.length > 0) defer(takeOne);
    run?.();
  };
  return (run) => {
    waiting.push(run);
    if (waiting.length === 1) defer(takeOne);
  };
}
