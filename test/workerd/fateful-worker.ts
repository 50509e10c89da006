import { decodeHop } from "../../src/relay/edge/hop.ts";
import worker, { DirectoryObject, ReplicaObject, SessionObject } from "../../src/runtime/worker.ts";
import type { Fate } from "./fate.ts";

export { DirectoryObject, ReplicaObject };

type Env = Parameters<typeof worker.fetch>[1];

type FailingCalls = Extract<Fate, { kind: "calls fail" }>;

const failure = ({ marks }: FailingCalls) => Object.assign(new Error("the platform failed"), marks);

/** Called after each message over any socket; there is one object at a time in these tests. */
let sent: (socket: WebSocket, message: unknown) => void = () => undefined;
const { send } = WebSocket.prototype;
WebSocket.prototype.send = function (message) {
  send.call(this, message);
  sent(this, message);
};

/** A session's object as it is deployed, to which things happen. */
export class FatefulSession extends SessionObject {
  #failing: FailingCalls | undefined;
  #alarms: "well" | "the next fails" | "the next comes twice" = "well";
  #lingerMs = 0;
  #made = { calls: 0, alarms: 0 };

  meets(fate: Fate): void {
    switch (fate.kind) {
      case "dies while it tells":
        this.#dieAfter(fate.links);
        break;
      case "lingers":
        this.#lingerMs = fate.ms;
        break;
      case "calls fail":
        this.#failing = fate;
        break;
      case "alarms go wrong":
        this.#alarms = "the next fails";
        break;
    }
  }

  /** How often this instance was called by gateways, and by its alarm. */
  made() {
    return this.#made;
  }

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const ms = this.#lingerMs;
    this.#lingerMs = 0;
    if (ms > 0) await scheduler.wait(ms);
    await super.webSocketMessage(socket, message);
  }

  override fetch(): Response {
    const fate = this.#failNext();
    if (fate === undefined) return super.fetch();
    if (fate.when === "after") super.fetch();
    throw failure(fate);
  }

  override async publish(call: Uint8Array) {
    const fate = this.#failNext();
    if (fate === undefined) return await super.publish(call);
    if (fate.when === "after") await super.publish(call);
    throw failure(fate);
  }

  override async alarm(): Promise<void> {
    this.#made.alarms += 1;
    switch (this.#alarms) {
      case "the next fails":
        this.#alarms = "the next comes twice";
        throw new Error("the alarm fails");
      case "the next comes twice":
        this.#alarms = "well";
        await super.alarm();
    }
    await super.alarm();
  }

  #failNext(): FailingCalls | undefined {
    this.#made.calls += 1;
    const fate = this.#failing;
    if (fate !== undefined) this.#failing = fate.times > 1 ? { ...fate, times: fate.times - 1 } : undefined;
    return fate;
  }

  #dieAfter(links: number): void {
    const { sql } = this.ctx.storage;
    const { exec } = sql;
    let isWritten = false;
    const told = new Set<WebSocket>();
    const watched = (...statement: Parameters<typeof exec>): unknown => {
      if (/^(INSERT INTO|UPDATE) records\b/.test(statement[0])) isWritten = true;
      return Reflect.apply(exec, sql, statement);
    };
    Object.assign(sql, { exec: watched });
    sent = (socket, message) => {
      if (!isWritten || !(message instanceof Uint8Array) || decodeHop(message)?.kind !== "frames") return;
      told.add(socket);
      if (told.size < links) return;
      sent = () => undefined;
      this.ctx.abort("it ends in the middle");
    };
  }
}

interface FatefulEnv extends Omit<Env, "SESSIONS"> {
  readonly SESSIONS: DurableObjectNamespace<FatefulSession>;
}

/** The relay, and beside it `POST /fate/<session>` with a fate, and `GET /fate/<session>`: what was made of it. */
export default {
  async fetch(request, env, context) {
    const [, first, session = ""] = new URL(request.url).pathname.split("/");
    if (first !== "fate") return await worker.fetch(request, env, context);
    const object = env.SESSIONS.getByName(session);
    if (request.method === "POST") await object.meets(await request.json<Fate>());
    return Response.json(await object.made());
  },
} satisfies ExportedHandler<FatefulEnv>;
