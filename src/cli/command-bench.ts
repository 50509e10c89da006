import { Command, InvalidArgumentError } from "commander";
import { withExample } from "./options.ts";
import { type BenchOptions, runBench } from "./run-bench.ts";

const defaultSeconds = 2;
/** With seven measurements, and a warm-up of half as long before most of them: within a minute. */
const mostSeconds = 5;

/** `baton bench`: what the relay does on this machine. */
export function createBenchCommand(): Command {
  const command = new Command("bench")
    .description("measure the relay on this machine, in processes of its own, on loopback")
    .option(
      "--folder <path>",
      "on the disk that the log is to be on; left out: the system's folder for temporary files",
    )
    .option("--seconds <count>", "how long each measurement takes", parseSeconds, defaultSeconds)
    .option("--json", "print JSON, on one line", false)
    .action((options: BenchOptions) => runBench(options));
  return withExample(command, "bench --folder /var/lib");
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (/^\d*\.?\d+$/.test(text) && seconds >= 0.1 && seconds <= mostSeconds) return seconds;
  throw new InvalidArgumentError(`A number from 0.1 to ${mostSeconds}.`);
}
