/**
 * What is done about a reader that falls behind, the mildest first: of what is not logged it gets the newest; it is fed
 * from the log in place of the ring; it gets the session's state in place of the records; it is cut off.
 */
export type LadderStep = "conflated" | "log" | "resynced" | "cut";

export type LadderSteps = Record<LadderStep, number>;

export const noLadderSteps = (): LadderSteps => ({ conflated: 0, log: 0, resynced: 0, cut: 0 });
