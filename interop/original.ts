import type { SessionMessage } from "../src/gen/codereview/v1/codereview_pb.ts";
import { OriginalClient } from "../test/original/client.ts";
import { firstText, type Person, path } from "./person.ts";

export interface OriginalOptions {
  readonly name: string;
  readonly user: string;
  readonly session: string;
  readonly url: string;
  readonly token: () => Promise<string>;
  readonly random: () => number;
}

/** Somebody whose client was generated from the original proto: lines are all that it knows, and it cannot resume. */
export class OriginalPerson implements Person {
  readonly name: string;
  readonly canResume = false;
  readonly resumed = 0;
  readonly #options: OriginalOptions;
  #client: OriginalClient | undefined;
  #edits = 0;
  #comments = 0;

  constructor(options: OriginalOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** It comes in with its first message, and has the history then. */
  async join(): Promise<void> {
    const { url, token, session } = this.#options;
    const client = new OriginalClient("grpc-js", url, await token());
    this.#client = client;
    client.send({ session_id: session, presence: { status: "ACTIVE" } });
    const ended = client.ended.then(({ code, fault }) => {
      throw new Error(`${this.name} was refused: ${code} ${fault?.reason}`);
    });
    await Promise.race([ended, client.until("the file", () => client.text(path).startsWith(firstText))]);
    ended.catch(() => undefined);
  }

  act(n: number): void {
    const { random, user } = this.#options;
    const client = this.#joined;
    const lines = client.shows.lines(path);
    if (n % 5 === 0) {
      this.#comments += 1;
      client.send({ comment: { comment_id: `${user}-${n}`, line_number: 1, text: `${user} at ${n}` } });
      return;
    }
    this.#edits += 1;
    const at = n % 3 === 0 ? lines.length : Math.floor(random() * lines.length);
    client.edit(path, at + 1, `${lines[at] ?? ""}[${user} ${n}]`);
  }

  cut(): void {}

  hasAll(): boolean {
    // It is told no numbers: that nothing more comes is all that it can know.
    return this.#client !== undefined;
  }

  text(): string | undefined {
    return this.#client?.text(path);
  }

  isOwn({ userId }: { readonly userId: string }): boolean {
    return userId === this.#options.user;
  }

  get told(): number {
    return this.#client?.heard.length ?? 0;
  }

  faults(log: readonly SessionMessage[]): readonly string[] {
    const own = log.filter((record) => this.isOwn(record)).map(({ payload }) => payload.case);
    const count = (kind: string) => own.filter((one) => one === kind).length;
    const comments = (messages: readonly SessionMessage[]) =>
      messages.flatMap(({ userId, payload }) =>
        payload.case === "comment" ? [`${userId} ${payload.value.commentId}`] : [],
      );
    const heard = comments(this.#joined.heard).filter((one) => !one.startsWith(this.#options.user));
    const logged = comments(log.filter((record) => !this.isOwn(record)));
    return [
      ...(count("edit") === this.#edits ? [] : [`${count("edit")} of its ${this.#edits} edits are in the log`]),
      ...(count("comment") === this.#comments
        ? []
        : [`${count("comment")} of its ${this.#comments} comments are in the log`]),
      ...(heard.join() === logged.join() ? [] : ["it heard the others' comments in another order than the log's"]),
    ];
  }

  leave(): void {
    this.#client?.finish();
  }

  get #joined(): OriginalClient {
    if (this.#client === undefined) throw new Error(`${this.name} has not joined`);
    return this.#client;
  }
}
