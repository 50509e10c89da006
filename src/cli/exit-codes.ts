/** What a supervisor can tell apart. */
export const exitCodes = {
  ok: 0,
  /** Something failed that may go well at another time. */
  failed: 1,
  /** EX_CONFIG of sysexits.h: starting again does not help, another configuration does. */
  configuration: 78,
} as const;

/** 128 and the signal's number, as a shell reports it. */
export const signalExitCode = (signal: "SIGINT" | "SIGTERM") => 128 + (signal === "SIGINT" ? 2 : 15);
