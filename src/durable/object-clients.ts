import { clientKeyText } from "./client-key.ts";
import type { ObjectSession } from "./object-state.ts";
import { firstRow, type ObjectSql } from "./object-storage.ts";
import type { ClientKey } from "./session-log.ts";
import { integerOf } from "./sqlite-driver.ts";

export interface ObjectClient {
  readonly id: number;
  readonly generation: number;
  readonly lastClientSeq: number;
}

/** Clients that are kept in memory, so that an append reads none; then they are read anew. */
const mostKnown = 4_096;

/** The clients of an object's session. What they last wrote may be newer in the session's last row than in their own. */
export class ObjectClients {
  readonly #sql: ObjectSql;
  /** By `clientKeyText`. Of each its number is as of its own row. */
  readonly #known = new Map<string, ObjectClient>();

  constructor(sql: ObjectSql) {
    this.#sql = sql;
  }

  find({ carried }: ObjectSession, key: ClientKey): ObjectClient | undefined {
    const text = clientKeyText(key);
    const client = this.#known.get(text) ?? this.#read(text);
    return client && { ...client, lastClientSeq: carried.get(client.id) ?? client.lastClientSeq };
  }

  #read(text: string): ObjectClient | undefined {
    const row = firstRow(this.#sql, "SELECT id, generation, last_client_seq FROM clients WHERE key = ?", text);
    if (row === undefined) return undefined;
    const client = {
      id: integerOf(row, "id"),
      generation: integerOf(row, "generation"),
      lastClientSeq: integerOf(row, "last_client_seq"),
    };
    this.#keep(text, client);
    return client;
  }

  #keep(text: string, client: ObjectClient): void {
    if (this.#known.size >= mostKnown) this.#known.clear();
    this.#known.set(text, client);
  }

  /** Gives a client a claim; one that is new has it as its id. One row, for a new one two. */
  claim(key: ClientKey, known: ObjectClient | undefined, generation: number, atMs: number): void {
    const text = clientKeyText(key);
    const client = { id: known?.id ?? generation, generation, lastClientSeq: known?.lastClientSeq ?? 0 };
    if (known === undefined) {
      this.#sql.exec("INSERT INTO clients VALUES(?, ?, ?, 0, ?)", generation, text, generation, atMs);
    } else {
      this.#sql.exec(
        "UPDATE clients SET generation = ?, last_client_seq = ?, last_used_ms = ? WHERE id = ?",
        generation,
        client.lastClientSeq,
        atMs,
        client.id,
      );
    }
    this.#keep(text, client);
  }

  /** Brings the clients' own rows up to what the last row has; within the caller's transaction. */
  settle(carried: ReadonlyMap<number, number>, atMs: number): void {
    this.#known.clear();
    for (const [id, clientSeq] of carried) {
      this.#sql.exec("UPDATE clients SET last_client_seq = ?, last_used_ms = ? WHERE id = ?", clientSeq, atMs, id);
    }
  }

  /** Those that were last used before a time, and have no number in the last row. */
  forget({ carried }: ObjectSession, beforeMs: number): void {
    for (const row of [...this.#sql.exec("SELECT id FROM clients WHERE last_used_ms < ?", beforeMs)]) {
      const id = integerOf(row, "id");
      if (!carried.has(id)) this.#sql.exec("DELETE FROM clients WHERE id = ?", id);
    }
    this.#known.clear();
  }

  clear(): void {
    this.#known.clear();
  }
}
