import type { ObjectStorage } from "../../src/durable/object-storage.ts";
import type { SqlRow, SqlValue } from "../../src/durable/sqlite-driver.ts";

/** What the platform tells of a statement, beside its rows. */
interface CountedRows extends Iterable<SqlRow> {
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

interface CountedStorage extends Omit<ObjectStorage, "sql"> {
  readonly sql: { exec(query: string, ...values: SqlValue[]): CountedRows; readonly databaseSize: number };
}

/** An object's storage that counts the rows that are paid for. */
export class RowCount {
  readonly storage: ObjectStorage;
  #read = 0;
  #written = 0;

  constructor(counted: CountedStorage) {
    const count = (query: string, values: SqlValue[]): SqlRow[] => {
      const rows = counted.sql.exec(query, ...values);
      const all = [...rows];
      this.#read += rows.rowsRead;
      this.#written += rows.rowsWritten;
      return all;
    };
    this.storage = {
      sql: {
        exec: (query, ...values) => count(query, values),
        get databaseSize() {
          return counted.sql.databaseSize;
        },
      },
      transactionSync: (work) => counted.transactionSync(work),
      deleteAll: () => counted.deleteAll(),
    };
  }

  /** Rows since the last time. */
  take(): { readonly read: number; readonly written: number } {
    const taken = { read: this.#read, written: this.#written };
    this.#read = 0;
    this.#written = 0;
    return taken;
  }
}
