import { DurableObject } from "cloudflare:workers";

/** Counts on disk what it was asked, and in memory what it heard since it was made. */
export class Counter extends DurableObject {
  #heard = 0;

  override async fetch(request: Request): Promise<Response> {
    this.#heard += 1;
    if (request.headers.get("upgrade") === "websocket") {
      const { 0: client, 1: server } = new WebSocketPair();
      this.ctx.acceptWebSocket(server);
      return new Response(null, { status: 101, webSocket: client });
    }
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS counts(n INTEGER) STRICT");
    sql.exec("INSERT INTO counts VALUES(1)");
    const { kept } = sql.exec<{ kept: number }>("SELECT count(*) AS kept FROM counts").one();
    return Response.json({ kept, heard: this.#heard });
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    this.#heard += 1;
    socket.send(`${String(message)} ${this.#heard}`);
  }
}

interface Env {
  readonly COUNTERS: DurableObjectNamespace<Counter>;
}

export default {
  fetch: (request, { COUNTERS }) => COUNTERS.getByName(new URL(request.url).pathname).fetch(request),
} satisfies ExportedHandler<Env>;
