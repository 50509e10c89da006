import { Database, SQLiteError } from "bun:sqlite";
import type { SqlDriver, SqlRow, SqlStatement, SqlValue } from "./sqlite-driver.ts";

/** `bun:sqlite`. Integers come back as numbers: everything that the log counts is below 2^53. */
export const bunDriver: SqlDriver = {
  open(path) {
    const database = new Database(path, { create: true, readwrite: true });
    return {
      prepare(sql): SqlStatement {
        const statement = database.prepare<SqlRow, SqlValue[]>(sql);
        return {
          run: (...values) => void statement.run(...values),
          get: (...values) => statement.get(...values) ?? undefined,
          all: (...values) => statement.all(...values),
        };
      },
      exec: (sql) => void database.run(sql),
      get inTransaction() {
        return database.inTransaction;
      },
      close() {
        // `true` finalizes every statement; without it the file stays open, and locked, until they are collected.
        database.close(true);
      },
    };
  },
  resultCode: (error) => (error instanceof SQLiteError ? error.errno : undefined),
};
