import { expect, test } from "vitest";
import { type Line, lineName } from "../../src/protocol.js";
import { Follower } from "../../src/worker/follower.js";

const hearer = {
  news: () => undefined,
  found: () => undefined,
  refused: () => undefined,
  probe: () => undefined,
};

// A tab greets when it is there, and again when it hears of an owner. Where the two crossed, what it had asked for in
// between was asked on a line that its owner had just closed, and waited for ever.
test("news of the owner that has welcomed it already changes nothing; those of another one ask again", async () => {
  const follower = new Follower("journal", "tab", hearer);
  const owner = new BroadcastChannel(lineName("journal", "tab"));
  const asked: number[] = [];
  let heard: () => void = () => undefined;
  owner.onmessage = ({ data }: MessageEvent<Line>) => {
    if (data.to === "owner") asked.push(data.id);
    heard();
  };
  const next = () => new Promise<void>((resolve) => (heard = resolve));
  const say = (line: Line) => owner.postMessage(line);
  try {
    say({ to: "tab", welcome: { epoch: 7 } });
    let came = next();
    const answer = follower.ask(1, { do: "query", sql: "SELECT 1", params: "[]" });
    await came;
    expect(follower.ownerChanged(7)).toBe(false);
    say({ to: "tab", welcome: { epoch: 7 } });
    came = next();
    follower.ask(2, { do: "nudge" }).catch(() => undefined);
    await came;
    expect(asked).toEqual([1, 2]);
    expect(follower.ownerChanged(8)).toBe(true);
    came = next();
    say({ to: "tab", welcome: { epoch: 8 } });
    await came;
    await next();
    expect(asked).toEqual([1, 2, 1, 2]);
    say({ to: "tab", answer: { id: 1, value: "{}" } });
    expect(await answer).toBe("{}");
  } finally {
    follower.take();
    owner.close();
  }
});
