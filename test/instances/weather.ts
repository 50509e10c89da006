/** What goes wrong between instances, their store and their bus. Chances are in [0, 1). */
export interface Weather {
  readonly steps: number;
  readonly instances: number;
  /** Of a message on the bus. */
  readonly busLost: number;
  readonly busDoubled: number;
  /** Of a ring. */
  readonly ringLost: number;
  readonly ringDoubled: number;
  /** The longest delay of a message, a ring or a call, in steps: so they overtake each other. */
  readonly longestDelay: number;
  /** Of an append that was done and whose answer is lost. */
  readonly answerLost: number;
  /** One in so many steps an instance stands still, is killed, or a client's stream is cut; 0 = never. */
  readonly pauseOneIn: number;
  readonly killOneIn: number;
  readonly cutOneIn: number;
  /** One in so many steps the store loses some of its newest records; 0 = never. */
  readonly loseTailOneIn: number;
  /** Records that the log keeps. */
  readonly logRecords: number;
}

const calm: Weather = {
  steps: 500,
  instances: 3,
  busLost: 0,
  busDoubled: 0,
  ringLost: 0,
  ringDoubled: 0,
  longestDelay: 3,
  answerLost: 0,
  pauseOneIn: 0,
  killOneIn: 0,
  cutOneIn: 60,
  loseTailOneIn: 0,
  logRecords: 120,
};

export const weathers = {
  calm,
  badBus: { ...calm, busLost: 0.3, busDoubled: 0.2, ringLost: 0.3, ringDoubled: 0.2, longestDelay: 12 },
  silentBus: { ...calm, instances: 2, busLost: 1, ringLost: 1 },
  pauses: { ...calm, pauseOneIn: 60, busLost: 0.1, ringLost: 0.3, longestDelay: 6 },
  kills: { ...calm, instances: 4, killOneIn: 80, pauseOneIn: 120, ringLost: 0.3, longestDelay: 6 },
  lostAnswers: { ...calm, answerLost: 0.15, ringLost: 0.3 },
  crowd: { ...calm, instances: 8, busLost: 0.3, ringLost: 0.3, longestDelay: 8, cutOneIn: 30 },
  failovers: { ...calm, loseTailOneIn: 120, ringLost: 0.3, busLost: 0.3, longestDelay: 6, logRecords: 100_000 },
} satisfies Record<string, Weather>;

export type WeatherName = keyof typeof weathers;
