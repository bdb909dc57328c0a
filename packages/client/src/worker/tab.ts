// One tab's part in a database: the owner, or one that works through the owner. A Web Lock names the owner; it is
// released by whatever ends a tab, so that the next one takes over without asking anybody.

import {
  type Answer,
  type Call,
  type Config,
  callName,
  type Line,
  lineName,
  type News,
  ownerLock,
  TAB_PROTOCOL,
  type ToPage,
  type ToWorker,
  tabLock,
} from "../protocol.js";
import { codes, dataOf, type ErrorData, fail } from "./failure.js";
import { Follower } from "./follower.js";
import { loadFunctions } from "./functions.js";
import { Host, type Peer } from "./host.js";

type Post = (message: ToPage) => void;

/** What becomes of a call, as it travels. */
async function answerTo(id: number, call: Promise<unknown>): Promise<Answer> {
  try {
    return { id, value: (await call) ?? null };
  } catch (thrown) {
    return { id, error: dataOf(thrown) };
  }
}

export class Tab {
  readonly #id = crypto.randomUUID();
  /** The owner's own page has no name, unless it worked through another tab before: then its requests have one. */
  readonly #page: { tab: string | null; news: (news: News) => void };
  #config: Config | null = null;
  #calls: BroadcastChannel | null = null;
  #host: Host | null = null;
  #follower: Follower | null = null;
  /** Welcomes each of the tabs that work through this one. */
  readonly #others = new Map<string, () => void>();
  #release: () => void = () => undefined;
  #opened: { resolve: () => void; reject: (error: ErrorData) => void } | null = null;
  #ended = false;
  #holdsItsLock = false;
  readonly #post: Post;

  constructor(post: Post) {
    this.#post = post;
    this.#page = { tab: null, news: post };
  }

  async hear(message: ToWorker): Promise<void> {
    if ("ping" in message) this.#post({ pong: message.ping });
    else this.#post(await answerTo(message.id, this.#carryOut(message)));
  }

  async #carryOut(message: Exclude<ToWorker, { ping: number }>): Promise<unknown> {
    if ("open" in message) return this.#open(message.open);
    if ("close" in message) return this.#close();
    const { id, ask } = message;
    // A new owner has to know it, too.
    if (ask.do === "token") Object.assign(this.#config ?? {}, ask);
    if (this.#host) return this.#host.ask(this.#page, id, ask);
    if (this.#follower) return this.#follower.ask(id, ask);
    throw fail(codes.closed, "the database is not open");
  }

  // ------------------------------------------------------------------ opening

  /** Resolves when this tab has become the owner, or has found one. */
  async #open(config: Config): Promise<void> {
    // Only a secure page has locks.
    if (!navigator.locks) {
      const message =
        "the page is not served securely, so that the browser gives it no storage; serve it over https, or from localhost";
      throw fail(codes.insecure, message);
    }
    this.#config = config;
    this.#calls = new BroadcastChannel(callName(config.name));
    this.#calls.onmessage = (event: MessageEvent<Call>) => this.#called(event.data);
    this.#follower = new Follower(config.name, this.#id, {
      news: (news) => this.#post(news),
      found: () => this.#opened?.resolve(),
      refused: (error) => this.#opened?.reject(error),
      probe: () => this.#call({ call: "probe", tab: this.#id }),
    });
    // By every tab, owner or not: one that takes over later, perhaps without a network, has them then.
    await loadFunctions(config.functions);
    if (this.#ended) throw fail(codes.closed, "the database is closed; open it again");
    return new Promise((resolve, reject) => {
      this.#opened = { resolve, reject };
      // Held as long as this tab lives: the owner waits for it, and so learns that the tab is gone.
      void navigator.locks.request(tabLock(config.name, this.#id), () => {
        this.#holdsItsLock = true;
        this.#hello();
        return new Promise(() => undefined);
      });
      this.#queueForOwnership(config.name);
    });
  }

  #queueForOwnership(name: string): void {
    navigator.locks
      .request(ownerLock(name), () => {
        const held = new Promise<void>((resolve) => {
          this.#release = resolve;
        });
        return this.#become().then(() => held);
      })
      .catch((thrown) => {
        // The browser took the lock away, as Safari does to a page that it sets aside: another tab may own the files.
        if (this.#host) this.#stopped(null);
        else if (!this.#ended) this.#opened?.reject(dataOf(thrown));
      });
  }

  /** The lock is ours: open the database. When it cannot be opened the lock goes on to the next tab. */
  async #become(): Promise<void> {
    const config = this.#config;
    if (!config || this.#ended) {
      this.#release();
      return;
    }
    try {
      const host = await Host.open(config, (error) => this.#stopped(error));
      this.#host = host;
      host.join(this.#page, "owner");
      const [subscriptions, pending] = this.#follower?.take() ?? [[], []];
      if (pending.length) this.#page.tab = this.#id;
      this.#follower = null;
      this.#opened?.resolve();
      this.#call({ call: "owner", epoch: host.epoch, protocol: TAB_PROTOCOL });
      // What this tab had asked of the owner before is asked of itself now.
      for (const { id, ask } of subscriptions) void host.ask(this.#page, id, ask).catch(() => undefined);
      for (const { id, ask, resolve } of pending) resolve(host.ask(this.#page, id, ask));
    } catch (thrown) {
      this.#release();
      const error = dataOf(thrown);
      this.#opened?.reject(error);
      this.#follower?.fail(error);
      this.#post({ restart: error });
    }
  }

  /** The engine cannot go on. The page starts this worker anew; the other tabs hear of it. */
  #stopped(error: ErrorData | null): void {
    if (this.#ended) return;
    this.#ended = true;
    const epoch = this.#host?.epoch ?? 0;
    this.#call({ call: "leaving", epoch, error });
    this.#post({ restart: error });
  }

  async #close(): Promise<void> {
    this.#ended = true;
    await this.#host?.close();
    this.#follower?.fail(fail(codes.closed, "the database is closed; open it again"));
    this.#release();
  }

  // ------------------------------------------------------------------ between tabs

  #call(call: Call): void {
    this.#calls?.postMessage(call);
  }

  /** Only with its own lock in hand: an owner that got the lock first would take this tab for one that is gone. */
  #hello(): void {
    if (!this.#config || !this.#holdsItsLock) return;
    this.#call({ call: "hello", tab: this.#id, protocol: TAB_PROTOCOL, version: this.#config.version });
  }

  #called(call: Call): void {
    const host = this.#host;
    switch (call.call) {
      case "hello":
        if (host) this.#greeted(host, call);
        return;
      case "owner":
        if (!host && (call.protocol !== TAB_PROTOCOL || this.#follower?.ownerChanged(call.epoch))) this.#hello();
        return;
      case "leaving":
        if (call.error) this.#follower?.ownerFailed(call.epoch, call.error);
        return;
      case "probe":
        if (host) this.#call({ call: "alive", tab: call.tab, epoch: host.epoch });
        return;
      case "alive":
        if (call.tab === this.#id) this.#follower?.ownerIsAlive();
    }
  }

  /** Another tab wants to work through this one. */
  #greeted(host: Host, hello: Call & { call: "hello" }): void {
    const config = this.#config as Config;
    const known = this.#others.get(hello.tab);
    // It heard of this owner while its first greeting was under way. The line stays as it is, with what it asked for.
    if (known) known();
    // The newer app must hold the database: it may have columns that this one does not know.
    else if (hello.protocol === TAB_PROTOCOL && hello.version > config.version) this.#stopped(null);
    else this.#serve(host, hello, config.name);
  }

  #serve(host: Host, { tab, protocol }: Call & { call: "hello" }, name: string): void {
    const line = new BroadcastChannel(lineName(name, tab));
    const say = (message: Line) => line.postMessage(message);
    if (protocol !== TAB_PROTOCOL) {
      const message = "another tab runs a version of the app that this one cannot work with; close it, or reload it";
      say({ to: "tab", refuse: { code: codes.otherVersion, message } });
      line.close();
      return;
    }
    const peer: Peer = { tab, news: (news) => say({ to: "tab", news }) };
    line.onmessage = ({ data }: MessageEvent<Line>) => {
      if (data.to !== "owner") return;
      const { id, ask } = data;
      void answerTo(id, host.ask(peer, id, ask)).then((answer) => say({ to: "tab", answer }));
    };
    const welcome = () => {
      say({ to: "tab", welcome: { epoch: host.epoch } });
      host.join(peer, "follower");
    };
    this.#others.set(tab, welcome);
    void navigator.locks.request(tabLock(name, tab), () => {
      this.#others.delete(tab);
      host.leave(peer);
      line.close();
    });
    welcome();
  }
}
