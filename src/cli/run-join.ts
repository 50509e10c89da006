import process from "node:process";
import { describeStop, endLine } from "./describe-stop.ts";
import { exitCodes, signalExitCode } from "./exit-codes.ts";
import { parseActionLine } from "./join-action.ts";
import { helpText, type TypedLine } from "./join-command-line.ts";
import type { JoinEvent } from "./join-event.ts";
import { Participant } from "./join-participant.ts";
import { describeEvent } from "./join-words.ts";
import { isTerminal, jsonLine, Output } from "./output.ts";
import { readLines } from "./read-lines.ts";
import type { CarriageKind } from "./relay-transport.ts";
import { onStopSignal } from "./stop-signals.ts";
import { openTerminal } from "./terminal.ts";
import { openTokenSource } from "./token-source.ts";

export interface JoinOptions {
  readonly session: string;
  readonly url: string;
  readonly sub?: string;
  readonly token?: string;
  readonly scope: string;
  /** Seconds. */
  readonly ttl: number;
  readonly carriage: CarriageKind;
  readonly clientId?: string;
  readonly displayName?: string;
  readonly dataDir?: string;
}

/** What a stop signal leaves to work that is on its way. */
const settleMs = 2_000;

/** A participant in the terminal: for people where a terminal is at both ends, JSON lines elsewhere. */
export async function runJoin(options: JoinOptions): Promise<void> {
  const { session, url, sub, carriage, clientId, displayName, ttl } = options;
  const token = await openTokenSource({ ...options, ttlSeconds: ttl });
  const tasks = new AbortController();
  const output = new Output(() => tasks.abort());
  const terminal = isTerminal() ? openTerminal(() => tasks.abort()) : undefined;
  const tell = (event: JoinEvent) => {
    if (terminal === undefined) output.line(jsonLine(JSON.stringify(event)));
    else for (const line of describeEvent(event)) terminal.print(line);
  };
  const participant = new Participant({ session, url, carriage, clientId, displayName, token, tell });
  onStopSignal((signal) => {
    if (tasks.signal.aborted) process.exit(signalExitCode(signal));
    tasks.abort();
  });
  participant.open();
  const done = takeInput(participant, terminal === undefined ? jsonLines() : terminal.lines(), tell, tasks.signal);
  const stop = await Promise.race([participant.stopped, done.then(() => undefined)]);
  let exitCode: number = exitCodes.ok;
  if (stop?.kind === "refused") {
    tell({ event: "stopped", ...endLine(stop.end) });
    terminal?.close();
    process.stderr.write(`${describeStop(stop, { url, session, signs: sub !== undefined, carriage })}\n`);
    exitCode = exitCodes.failed;
  } else {
    const settled = await participant.settled(AbortSignal.timeout(settleMs));
    await participant.leave();
    terminal?.close();
    if (!settled) {
      process.stderr.write("left with work that the relay does not have\n");
      exitCode = exitCodes.failed;
    }
  }
  await output.flushed();
  process.exit(exitCode);
}

async function* jsonLines(): AsyncGenerator<TypedLine> {
  for await (const line of readLines(process.stdin)) {
    if (line === undefined) yield { kind: "wrong", message: "the line is too long" };
    else yield line.trim() === "" ? { kind: "nothing" } : parseActionLine(line);
  }
}

/** Does what each line says; resolves when there are no more and all is acked, when one says so, or at the signal. */
async function takeInput(
  participant: Participant,
  lines: AsyncGenerator<TypedLine>,
  tell: (event: JoinEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const stopped = new Promise<"stop">((resolve) => signal.addEventListener("abort", () => resolve("stop")));
  const alive = await Promise.race([participant.lived, stopped]);
  if (alive === "stop") return;
  for (let number = 1; ; number++) {
    const next = await Promise.race([lines.next(), stopped]);
    if (next === "stop") return;
    if (next.done === true) break;
    const goesOn = await obey(participant, next.value, (message) => tell({ event: "error", line: number, message }));
    if (!goesOn) break;
  }
  await participant.settled(signal);
}

/** False: it said to leave. */
async function obey(participant: Participant, line: TypedLine, complain: (message: string) => void): Promise<boolean> {
  switch (line.kind) {
    case "nothing":
      return true;
    case "help":
      for (const text of helpText) complain(text);
      return true;
    case "wrong":
      complain(line.message);
      return true;
    case "show":
      participant.show(line.value);
      return true;
    case "files":
      participant.files();
      return true;
    case "rotate":
      if (!(await participant.rotate()))
        complain("there is no other token: --token gives one alone, --sub signs new ones");
      return true;
    case "leave":
      return false;
    default:
      await participant.do(line);
      return true;
  }
}
