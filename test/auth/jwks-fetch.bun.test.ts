import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { fetchJwks } from "../../src/auth/jwks-fetch.ts";
import { type Answer, type Issuer, startIssuer } from "./issuer.ts";

let issuer: Issuer;
before(async () => {
  issuer = await startIssuer();
});
after(() => issuer.stop());

const canary = "PINEAPPLE";

/** Why an answer fails the attempt; undefined = it does not. */
async function whyOf(answer: Answer, timeoutMs?: number): Promise<string | undefined> {
  issuer.answers(answer);
  const asked = issuer.requests.length;
  const fetched = await fetchJwks({ ...issuer, timeoutMs });
  // A platform may try a connection that it kept, and that was cut, once more on a new one. Where time is short, it may
  // be over before anything was asked.
  assert.ok(issuer.requests.length > asked || timeoutMs !== undefined);
  if (fetched.kind === "text") return undefined;
  assert.doesNotMatch(fetched.why, /PINEAPPLE|localhost|127\.0/);
  return fetched.why;
}

describe("asking for a key set", () => {
  test("KS2 an answer comes as it was sent, whatever its media type", async () => {
    for (const type of ["application/jwk-set+json", "text/plain", "application/octet-stream"]) {
      issuer.answers((_, response) => response.writeHead(200, { "content-type": type }).end('{"keys":[]}'));
      assert.deepEqual(await fetchJwks(issuer), { kind: "text", text: '{"keys":[]}' });
    }
    // A character may come in two pieces.
    const bytes = new TextEncoder().encode('{"keys":["Zoë 🦊"]}');
    issuer.answers(async (_, response) => {
      for (const byte of bytes) {
        response.write(Uint8Array.of(byte));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      response.end();
    });
    assert.deepEqual(await fetchJwks(issuer), { kind: "text", text: '{"keys":["Zoë 🦊"]}' });
    assert.equal(issuer.requests.at(-1)?.method, "GET");
    assert.equal(issuer.requests.at(-1)?.headers.authorization, undefined);
  });

  test("KS2 a redirect is not followed, to a private address or any other, and asks nobody", async () => {
    let visits = 0;
    const elsewhere = createServer((_, response) => {
      visits += 1;
      response.end('{"keys":[]}');
    });
    await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
    const address = elsewhere.address();
    const port = typeof address === "object" ? address?.port : 0;
    const targets = [
      `http://127.0.0.1:${port}/${canary}`,
      `${issuer.url}`,
      "https://169.254.169.254/",
      "/keys",
      "file:///etc/passwd",
    ];
    for (const status of [301, 302, 303, 307, 308]) {
      for (const location of targets) {
        const why = await whyOf((_, response) => response.writeHead(status, { location }).end('{"keys":[]}'));
        assert.equal(why, "it redirects, and no redirect is followed: give the address it leads to");
      }
    }
    assert.equal(visits, 0);
    await new Promise((resolve) => elsewhere.close(resolve));
  });

  test("KS2 another status than 200 is a failed attempt, also with a set in its body", async () => {
    for (const status of [201, 204, 400, 401, 404, 429, 500, 503]) {
      const why = await whyOf((_, response) => response.writeHead(status).end(status === 204 ? "" : '{"keys":[]}'));
      assert.equal(why, `it answered ${status}`);
    }
  });

  test("KS2 64 KiB pass, one byte more does not, also where it is told in pieces, or unpacks to more", async () => {
    const text = (bytes: number) => `"${"x".repeat(bytes - 2)}"`;
    const tooLarge = "its answer is larger than 65536 bytes";
    assert.equal(await whyOf((_, response) => response.end(text(65_536))), undefined);
    assert.equal(await whyOf((_, response) => response.end(text(65_537))), tooLarge);
    assert.equal(await whyOf((_, response) => response.end(canary.repeat(1_000_000))), tooLarge);
    const endless: Answer = (_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(canary.repeat(1000)));
      };
      response.on("drain", more).on("error", () => undefined);
      more();
    };
    assert.equal(await whyOf(endless), tooLarge);
    const bomb = gzipSync(Buffer.alloc(50_000_000, 0x20));
    assert.ok(bomb.length < 65_536);
    const packed: Answer = (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(bomb);
    assert.equal(await whyOf(packed), tooLarge);
  });

  test("KS2 what takes longer than its time is left: no answer, or one that does not end", async () => {
    const words = "no whole answer came within 300 ms";
    assert.equal(await whyOf(() => undefined, 300), words);
    assert.equal(await whyOf((_, response) => response.writeHead(200).flushHeaders(), 300), words);
    assert.equal(await whyOf((_, response) => void response.write('{"keys":'), 300), words);
    const dripping: Answer = (_, response) => {
      const timer = setInterval(() => response.write(" "), 5);
      response.on("close", () => clearInterval(timer));
    };
    assert.equal(await whyOf(dripping, 300), words);
  });

  test("KS2 what is no UTF-8 is a failed attempt", async () => {
    assert.equal(
      await whyOf((_, response) => response.end(Uint8Array.of(0x22, 0xff, 0x22))),
      "its answer is not UTF-8",
    );
  });

  test("KS2 a connection that fails is told by the system's name of why, and nothing else", async () => {
    const whyFrom = async (location: Parameters<typeof fetchJwks>[0]) => {
      const fetched = await fetchJwks(location);
      return fetched.kind === "failed" ? fetched.why : "";
    };
    const cut = await whyOf((request) => request.socket.destroy());
    assert.match(cut ?? "", /^the connection failed \((ECONNRESET|UND_ERR_SOCKET)\)$/);
    const gone = await startIssuer();
    await gone.stop();
    assert.equal(await whyFrom(gone), "the connection failed (ECONNREFUSED)");
    // A certificate that nobody vouches for.
    assert.match(await whyFrom({ url: issuer.url }), /^the connection failed \([A-Z_]*CERT[A-Z_]*\)$/);
    const odd = Object.assign(new Error(canary), { code: `${canary} x` });
    assert.equal(await whyFrom({ url: issuer.url, fetch: () => Promise.reject(odd) }), "the connection failed");
    const nested = new TypeError(canary, { cause: Object.assign(new Error(canary), { code: "ENOTFOUND" }) });
    assert.equal(
      await whyFrom({ url: issuer.url, fetch: () => Promise.reject(nested) }),
      "the connection failed (ENOTFOUND)",
    );
  });
});
