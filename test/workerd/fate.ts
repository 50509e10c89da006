/** How the platform marks its own failures. */
interface Marks {
  readonly retryable?: boolean;
  readonly overloaded?: boolean;
}

/** What becomes of a session's object, once. */
export type Fate =
  /** It ends when so many links have been handed what was just written: the write is not durable yet. */
  | { readonly kind: "dies while it tells"; readonly links: number }
  /** What comes next over a link is handled so much later. */
  | { readonly kind: "lingers"; readonly ms: number }
  /** The next calls fail, so many of them: before anything was done, or when all was. */
  | { readonly kind: "calls fail"; readonly when: "before" | "after"; readonly times: number; readonly marks: Marks }
  /** The next alarm fails before it has done anything; when the platform rings again, it rings twice. */
  | { readonly kind: "alarms go wrong" };
