import type { SqlRow, SqlValue } from "./sqlite-driver.ts";

/**
 * What the log needs of a Durable Object's storage: a part of Cloudflare's `DurableObjectStorage`. What is written is
 * told to nobody before it is durable: the runtime holds back whatever the object sends meanwhile.
 */
export interface ObjectStorage {
  readonly sql: ObjectSql;
  /** All of it or, where it throws, nothing. */
  transactionSync<T>(work: () => T): T;
  /** The object is empty at once; the promise tells when that is durable. */
  deleteAll(): Promise<void>;
}

export interface ObjectSql {
  exec(query: string, ...values: SqlValue[]): Iterable<SqlRow>;
  /** Bytes. */
  readonly databaseSize: number;
}

/** The first row, where there is one. */
export function firstRow(sql: ObjectSql, query: string, ...values: SqlValue[]): SqlRow | undefined {
  for (const row of sql.exec(query, ...values)) return row;
  return undefined;
}

/** A column's bytes: an object's storage gives them as a buffer. */
export function blobOf(row: SqlRow, column: string): Uint8Array {
  const value = row[column];
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw new TypeError(`column ${column} holds no bytes`);
}

/**
 * What one row may hold: 2 MB by the platform's word (2026-11), less its other columns. workerd on one's own machine takes
 * more, so that it would show in production only.
 */
export const maxRowBytes = 1_900_000;
