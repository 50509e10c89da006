import { DatabaseSync } from "node:sqlite";
import type { SqlDriver, SqlRow, SqlStatement, SqlValue } from "./sqlite-driver.ts";
import { primary } from "./sqlite-errors.ts";

/**
 * `node:sqlite`, in Node from 22.13 on, and in Deno, whose texts end at a NUL where they are read: no name has one. Integers come back as numbers; one beyond 2^53, which the log never writes, is
 * refused, where `bun:sqlite` rounds it.
 */
export const nodeDriver: SqlDriver = {
  open(path) {
    // As SQLite itself has it, and `bun:sqlite`: the schema has no foreign keys.
    const database = withCode(() => new DatabaseSync(path, { enableForeignKeyConstraints: false }));
    return {
      prepare(sql): SqlStatement {
        const statement = database.prepare(sql);
        return {
          run: (...values) => void statement.run(...values),
          get: (...values: SqlValue[]): SqlRow | undefined => asDamage(() => statement.get(...values)),
          all: (...values: SqlValue[]): SqlRow[] => asDamage(() => statement.all(...values)),
        };
      },
      // Not by `exec`: its errors have no code on Deno 2.9.6.
      exec: (sql) => void database.prepare(sql).run(),
      get inTransaction() {
        // Node tells since 22.16. Before, a rollback is always tried; where SQLite has rolled back by itself already it
        // fails, and the log opens the file anew.
        return database.isTransaction ?? true;
      },
      close() {
        // Finalizes every statement.
        database.close();
      },
    };
  },
  resultCode(error) {
    return error instanceof Error && "errcode" in error && typeof error.errcode === "number"
      ? error.errcode
      : undefined;
  },
};

/** Deno tells no code of a file that it cannot open; nothing else fails before the first statement. */
function withCode(open: () => DatabaseSync): DatabaseSync {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof Error) || "errcode" in error) throw error;
    throw Object.assign(error, { errcode: primary.cantOpen });
  }
}

/** A number that the column cannot have held is what a column of another type is: damage. */
function asDamage<T>(query: () => T): T {
  try {
    return query();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new TypeError("a column holds a number beyond 2^53", { cause: error });
  }
}
