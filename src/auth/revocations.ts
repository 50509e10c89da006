import type { Revocation } from "../session/revocation.ts";
import type { Principal } from "./principal.ts";

/**
 * Which tokens are revoked, in memory. What was added stays: a token cannot outlive its `exp`, but a revocation by its id
 * does not say when that is. It costs an id and an entry of a map, some 200 bytes; whoever adds bounds how many.
 */
export class Revocations {
  readonly #tokenIds = new Set<string>();
  /** Of each user: tokens issued before that are refused, ms since the Unix epoch. */
  readonly #issuedBeforeMs = new Map<string, number>();

  /** Tokens and users that it knows. */
  get size(): number {
    return this.#tokenIds.size + this.#issuedBeforeMs.size;
  }

  has(revocation: Revocation): boolean {
    return revocation.kind === "token"
      ? this.#tokenIds.has(revocation.tokenId)
      : this.#issuedBeforeMs.has(revocation.userId);
  }

  /** The same again, or one of a user that reaches less far, changes nothing. */
  add(revocation: Revocation): void {
    if (revocation.kind === "token") {
      this.#tokenIds.add(revocation.tokenId);
      return;
    }
    const { userId, issuedBeforeMs } = revocation;
    this.#issuedBeforeMs.set(userId, Math.max(issuedBeforeMs, this.#issuedBeforeMs.get(userId) ?? 0));
  }

  isRevoked({ tokenId, userId, issuedAtMs }: Pick<Principal, "tokenId" | "userId" | "issuedAtMs">): boolean {
    if (tokenId !== undefined && this.#tokenIds.has(tokenId)) return true;
    return issuedAtMs < (this.#issuedBeforeMs.get(userId) ?? 0);
  }
}
