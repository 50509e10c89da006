import { loadDefaultDriver } from "../../src/durable/default-driver.ts";
import type { SqlConnection, SqlDriver, SqlValue } from "../../src/durable/sqlite-driver.ts";

/** Result codes as SQLite gives them; https://www.sqlite.org/rescode.html */
export const codes = { busy: 5, full: 13, constraint: 19, corrupt: 11, ioFsync: 1034, ioWrite: 778 } as const;

class InjectedError extends Error {
  readonly code: number;
  constructor(code: number) {
    super(`injected SQLite error ${code}`);
    this.code = code;
  }
}

export interface FaultyDriver extends SqlDriver {
  /** Asked before (and after) each statement is run; a code is thrown in its place. */
  fault: (sql: string, values: readonly SqlValue[], when: "before" | "after") => number | undefined;
  /** The connection that is open now, to speak to the real database beside the log. */
  readonly connection: SqlConnection;
  readonly opened: number;
  /** Statements that ran, by their text. */
  readonly count: (sql: string) => number;
}

const realDriver = await loadDefaultDriver();

/** The real driver, which fails where a test says so: what a disk does cannot be had on demand otherwise. */
export function createFaultyDriver(): FaultyDriver {
  let connection: SqlConnection | undefined;
  let opened = 0;
  const ran = new Map<string, number>();
  const throwFault = (sql: string, values: readonly SqlValue[], when: "before" | "after") => {
    const code = driver.fault(sql, values, when);
    if (code !== undefined) throw new InjectedError(code);
  };
  const wrap =
    <T>(sql: string, run: (...values: SqlValue[]) => T) =>
    (...values: SqlValue[]): T => {
      throwFault(sql, values, "before");
      const result = run(...values);
      ran.set(sql, (ran.get(sql) ?? 0) + 1);
      throwFault(sql, values, "after");
      return result;
    };
  const driver: FaultyDriver = {
    fault: () => undefined,
    get connection() {
      if (connection === undefined) throw new Error("not opened yet");
      return connection;
    },
    get opened() {
      return opened;
    },
    count: (sql) => ran.get(sql) ?? 0,
    open(path) {
      const real = realDriver.open(path);
      opened += 1;
      connection = real;
      return {
        prepare(sql) {
          const { run, get, all } = real.prepare(sql);
          return { run: wrap(sql, run), get: wrap(sql, get), all: wrap(sql, all) };
        },
        exec: (sql) => real.exec(sql),
        get inTransaction() {
          return real.inTransaction;
        },
        close: () => real.close(),
      };
    },
    resultCode: (error) => (error instanceof InjectedError ? error.code : realDriver.resultCode(error)),
  };
  return driver;
}
