import type { SqlConnection } from "./sqlite-driver.ts";
import { formatVersion } from "./sqlite-schema.ts";

/** Every statement of the log, prepared once for each connection. */
export function prepareStatements(db: SqlConnection) {
  const p = (sql: string) => db.prepare(sql);
  return {
    begin: p("BEGIN IMMEDIATE"),
    commit: p("COMMIT"),
    rollback: p("ROLLBACK"),

    sessionByName: p("SELECT * FROM sessions WHERE name = ?"),
    sessionById: p("SELECT * FROM sessions WHERE id = ?"),
    // One lower bound, so that a late page is found as fast as the first: of two SQLite seeks by the first it sees, and
    // walks the rest (7 ms at 200,000 sessions, now 0.03). U+10FFFF sorts after every character that an id may have.
    listSessions: p(
      "SELECT * FROM sessions WHERE name >= max(?1, ?2) AND name <> ?2 AND name < ?1 || char(0x10ffff) " +
        "ORDER BY name LIMIT ?3",
    ),
    insertSession: p("INSERT INTO sessions VALUES(NULL, ?, ?, 0, 1, 0, ?, ?) RETURNING id"),
    foldSession: p("UPDATE sessions SET head = ?, bytes = ?, head_checksum = ?, last_activity_ms = ? WHERE id = ?"),
    touchSession: p("UPDATE sessions SET last_activity_ms = ? WHERE id = ?"),
    trimSession: p("UPDATE sessions SET first = ?, bytes = ? WHERE id = ?"),
    renewSession: p("UPDATE sessions SET epoch = ? WHERE id = ?"),
    deleteSession: p("DELETE FROM sessions WHERE id = ?"),

    nextGeneration: p("UPDATE counters SET value = value + 1 WHERE name = 'generation' RETURNING value"),
    clientByKey: p(
      "SELECT id, generation, last_client_seq FROM clients WHERE session = ? AND user_id = ? AND client_id = ?",
    ),
    clientById: p("SELECT user_id, client_id, generation, last_client_seq FROM clients WHERE id = ?"),
    insertClient: p("INSERT INTO clients VALUES(NULL, ?, ?, ?, ?, 0, ?) RETURNING id"),
    claimClient: p("UPDATE clients SET generation = ?, last_used_ms = ? WHERE id = ?"),
    foldClient: p("UPDATE clients SET last_client_seq = ?, last_used_ms = ? WHERE id = ?"),
    forgetClients: p("DELETE FROM clients WHERE session = ? AND last_used_ms < ?"),
    deleteClients: p("DELETE FROM clients WHERE session = ?"),

    readJournal: p("SELECT * FROM journal ORDER BY id"),
    insertJournal: p("INSERT INTO journal VALUES(?, ?, ?, ?, ?, ?, ?, ?)"),
    deleteJournal: p("DELETE FROM journal WHERE id BETWEEN ? AND ?"),
    deleteJournalOf: p("DELETE FROM journal WHERE session = ?"),

    /** The segment that holds a seq, or the next one after it. */
    segmentAt: p("SELECT * FROM segments WHERE session = ? AND last_seq >= ? ORDER BY last_seq LIMIT 1"),
    insertSegment: p("INSERT INTO segments VALUES(?, ?, ?, ?, ?)"),
    cutSegment: p(
      "UPDATE segments SET first_seq = ?, start_checksum = ?, records = ? WHERE session = ? AND last_seq = ?",
    ),
    sizeOfSegments: p(
      "SELECT coalesce(sum(length(records)), 0) AS bytes, coalesce(sum(last_seq - first_seq + 1), 0) AS records " +
        "FROM segments WHERE session = ? AND last_seq <= ?",
    ),
    deleteSegments: p("DELETE FROM segments WHERE session = ? AND last_seq <= ?"),

    snapshotAt: p("SELECT * FROM snapshots WHERE session = ? AND seq = ?"),
    snapshotsBefore: p("SELECT seq FROM snapshots WHERE session = ? AND seq <= ? ORDER BY seq DESC"),
    insertSnapshot: p("INSERT INTO snapshots VALUES(?, ?, ?, ?) ON CONFLICT DO NOTHING"),
    deleteSnapshot: p("DELETE FROM snapshots WHERE session = ? AND seq = ?"),
    deleteSnapshots: p("DELETE FROM snapshots WHERE session = ? AND seq < ?"),

    secret: p("SELECT value FROM secrets WHERE name = ?"),
    insertSecret: p("INSERT INTO secrets VALUES(?, ?)"),

    // Replacing makes a new row, at a new place.
    insertRevocation: p(
      "INSERT OR REPLACE INTO revocations SELECT NULL, ?1, ?2, max(?3, coalesce(" +
        "(SELECT issued_before_ms FROM revocations WHERE kind = ?1 AND name = ?2), 0))",
    ),
    revocationsAfter: p("SELECT * FROM revocations WHERE place > ? ORDER BY place LIMIT ?"),
    raiseFormat: p(`PRAGMA user_version = ${formatVersion}`),
  };
}

export type Statements = ReturnType<typeof prepareStatements>;
