export interface SessionOptions {
  /** The relay's, `http:` or `https:`. */
  readonly url: string;
  readonly session: string;
  /** A token that is good for a while; asked for before each connection. Where it rejects, the session is over. */
  readonly token: () => Promise<string>;
  /** What others say, in the order of the log, each once. */
  readonly heard: (user: string, text: string) => void;
}

/** Of the contract's messages in JSON what is needed here: numbers of 64 bits are texts, bytes are base64. */
interface Message {
  readonly seq?: string;
  readonly userId?: string;
  readonly custom?: { readonly data?: string };
  readonly ack?: { readonly clientSeq?: string; readonly seq?: string };
  readonly welcome?: { readonly resumeToken?: string };
  readonly heartbeat?: { readonly sentAt?: string };
  readonly fault?: { readonly reason?: string; readonly message?: string };
  readonly tokenStatus?: { readonly state?: string };
  /** The last one, where the stream did not end OK. */
  readonly error?: {
    readonly message?: string;
    readonly details?: readonly { readonly debug?: { action?: string } }[];
  };
}

interface Pending {
  readonly text: string;
  readonly logged: () => void;
}

const path = "/codereview.v1.CodeReviewService/CollaborativeSession";
const pauseMs = 1_000;

/**
 * A participant in a browser, with nothing but its WebSocket and JSON. It goes on where it was over cuts of the connection
 * and restarts of the relay, and what it says is logged once.
 */
export function openSession({ url, session, token, heard }: SessionOptions) {
  const place = { resumeToken: "", lastSeq: "0", pendingFrom: "1" };
  const pending = new Map<number, Pending>();
  const over = Promise.withResolvers<void>();
  let lastClientSeq = 0;
  let isClosing = false;
  let isWelcome = false;
  let socket: WebSocket | undefined;

  const send = (message: object) => socket?.send(JSON.stringify(message));
  const sendSaid = (clientSeq: number, { text }: Pending) =>
    send({ clientSeq, custom: { type: "chat", data: encode(text) } });

  function take({ seq, userId, custom, ack, welcome, heartbeat, fault, tokenStatus }: Message): void {
    if (seq !== undefined) place.lastSeq = seq;
    if (custom !== undefined) heard(userId ?? "", decode(custom.data ?? ""));
    if (heartbeat?.sentAt !== undefined) send({ heartbeat: { echo: heartbeat.sentAt } });
    if (welcome !== undefined) {
      place.resumeToken = welcome.resumeToken ?? "";
      isWelcome = true;
      // What is in the log already is answered with its place.
      for (const [clientSeq, said] of pending) sendSaid(clientSeq, said);
    }
    if (ack !== undefined) {
      if (ack.seq !== undefined) place.lastSeq = ack.seq;
      pending.get(Number(ack.clientSeq))?.logged();
      pending.delete(Number(ack.clientSeq));
    }
    if (fault !== undefined) over.reject(new Error(`${fault.reason}: ${fault.message}`));
    if (tokenStatus?.state === "EXPIRING") {
      token().then((next) => send({ tokenRotation: { token: next } }), over.reject);
    }
  }

  async function connect(): Promise<void> {
    const opened = new WebSocket(new URL(path, url.replace(/^http/, "ws")), [
      "baton.v1.json",
      `bearer.${await token()}`,
    ]);
    socket = opened;
    let action: string | undefined;
    opened.onopen = () => send({ sessionId: session, join: { ...place, history: "FULL" } });
    opened.onmessage = ({ data }) => {
      const message: Message = JSON.parse(data);
      action = message.error?.details?.[0]?.debug?.action;
      if (message.error === undefined) take(message);
    };
    opened.onclose = ({ code, reason }) => {
      isWelcome = false;
      if (code === 1000 && isClosing) over.resolve();
      else if (action === "STOP") over.reject(new Error(reason));
      else setTimeout(() => void connect().catch(over.reject), pauseMs);
    };
  }

  connect().catch(over.reject);
  return {
    /** Resolves when the session was closed; rejects when to come back is no use. */
    over: over.promise,
    /** Resolves when the log has it. */
    say(text: string): Promise<void> {
      const clientSeq = ++lastClientSeq;
      return new Promise((logged) => {
        const said = { text, logged };
        pending.set(clientSeq, said);
        // Else it goes behind what went before, as soon as the relay has said Welcome.
        if (isWelcome) sendSaid(clientSeq, said);
      });
    },
    /** Says that there is nothing more to say; what was said is answered, then the relay closes. */
    close(): void {
      isClosing = true;
      socket?.send("");
    },
  };
}

const encode = (text: string) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const decode = (base64: string) => new TextDecoder().decode(Uint8Array.from(atob(base64), (one) => one.charCodeAt(0)));
