/** What the log needs of a SQLite binding. All of it is synchronous; one process holds one connection. */

export type SqlValue = string | number | Uint8Array | null;
export type SqlRow = Readonly<Record<string, unknown>>;

export interface SqlStatement {
  run(...values: SqlValue[]): void;
  get(...values: SqlValue[]): SqlRow | undefined;
  all(...values: SqlValue[]): SqlRow[];
}

export interface SqlConnection {
  prepare(sql: string): SqlStatement;
  /** Runs one statement that is not worth keeping. */
  exec(sql: string): void;
  readonly inTransaction: boolean;
  /** Lets go of the file and its lock, also when what is pending cannot be written any more. */
  close(): void;
}

export interface SqlDriver {
  /** Opens the file, and makes it where there is none. */
  open(path: string): SqlConnection;
  /** SQLite's (extended) result code where the binding threw one, else undefined. */
  resultCode(error: unknown): number | undefined;
}

/** A column's value, where the row has what its schema says. Another type there means a damaged file. */
export function integerOf(row: SqlRow, column: string): number {
  const value = row[column];
  if (typeof value === "number") return value;
  throw new TypeError(`column ${column} holds no number`);
}

export function textOf(row: SqlRow, column: string): string {
  const value = row[column];
  if (typeof value === "string") return value;
  throw new TypeError(`column ${column} holds no text`);
}

export function bytesOf(row: SqlRow, column: string): Uint8Array {
  const value = row[column];
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`column ${column} holds no bytes`);
}
