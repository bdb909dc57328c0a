// One tab's part in a database: the owner, or one that works through the owner. A Web Lock names the owner; it is
// released by whatever ends a tab, so that the next one takes over without asking anybody.

import { codes, dataOf, type ErrorData, fail, LandfallError } from "../error.js";
import {
  type Answer,
  type Ask,
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
import { Follower } from "./follower.js";
import { Host, type Peer } from "./host.js";

type Post = (message: ToPage) => void;

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
  #opened: { resolve: () => void; reject: (error: LandfallError) => void } | null = null;
  #ended = false;
  #holdsItsLock = false;
  readonly #post: Post;

  constructor(post: Post) {
    this.#post = post;
    this.#page = { tab: null, news: post };
  }

  async hear(message: ToWorker): Promise<void> {
    if ("ping" in message) {
      this.#post({ pong: message.ping });
      return;
    }
    this.#post(await this.#answer(message));
  }

  async #answer(message: Exclude<ToWorker, { ping: number }>): Promise<Answer> {
    const { id } = message;
    try {
      if ("open" in message) return { id, value: await this.#open(message.open) };
      if ("close" in message) return { id, value: await this.#close() };
      return { id, value: (await this.#ask(id, message.ask)) ?? null };
    } catch (thrown) {
      return { id, error: dataOf(thrown) };
    }
  }

  #ask(id: number, ask: Ask): Promise<unknown> {
    // A new owner has to know it, too.
    if (ask.do === "token") Object.assign(this.#config ?? {}, ask);
    if (this.#host) return this.#host.ask(this.#page, id, ask);
    if (this.#follower) return this.#follower.ask(id, ask);
    return Promise.reject(fail(codes.closed, "the database is not open"));
  }

  // ------------------------------------------------------------------ opening

  /** Resolves when this tab has become the owner, or has found one. */
  #open(config: Config): Promise<null> {
    if (!globalThis.navigator?.locks || !globalThis.isSecureContext) {
      const message =
        "the page is not served securely, so that the browser keeps its storage and locks from it; serve it over https, or from localhost";
      return Promise.reject(fail(codes.insecure, message));
    }
    this.#config = config;
    this.#calls = new BroadcastChannel(callName(config.name));
    this.#calls.onmessage = (event: MessageEvent<Call>) => this.#called(event.data);
    this.#follower = new Follower(config.name, this.#id, {
      news: (news) => this.#post(news),
      found: () => this.#opened?.resolve(),
      refused: (error) => this.#opened?.reject(new LandfallError(error)),
      probe: () => this.#call({ call: "probe", tab: this.#id }),
    });
    return new Promise((resolve, reject) => {
      this.#opened = { resolve: () => resolve(null), reject };
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
        if (!this.#ended && this.#host) this.#stopped(null);
        else if (!this.#ended) this.#opened?.reject(new LandfallError(dataOf(thrown)));
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
      const waiting = this.#follower?.take();
      if (waiting?.pending.length) this.#page.tab = this.#id;
      this.#follower = null;
      this.#opened?.resolve();
      this.#call({ call: "owner", epoch: host.epoch, protocol: TAB_PROTOCOL });
      // What this tab had asked of the owner before is asked of itself now.
      for (const { id, ask } of waiting?.subscriptions ?? []) void host.ask(this.#page, id, ask).catch(() => undefined);
      for (const { id, ask, resolve } of waiting?.pending ?? []) resolve(host.ask(this.#page, id, ask));
    } catch (thrown) {
      this.#release();
      const error = new LandfallError(dataOf(thrown));
      this.#opened?.reject(error);
      this.#follower?.fail(error);
      this.#post({ restart: dataOf(error) });
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

  async #close(): Promise<null> {
    this.#ended = true;
    await this.#host?.close();
    this.#follower?.fail(fail(codes.closed, "the database is closed; open it again"));
    this.#release();
    return null;
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
        if (host) this.#serve(host, call);
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
  #serve(host: Host, hello: Call & { call: "hello" }): void {
    const config = this.#config as Config;
    // It heard of this owner while its first greeting was under way. The line stays as it is, with what it asked for.
    const known = this.#others.get(hello.tab);
    if (known) {
      known();
      return;
    }
    const line = new BroadcastChannel(lineName(config.name, hello.tab));
    if (hello.protocol !== TAB_PROTOCOL) {
      const message =
        "another tab runs a version of this app that this one cannot work with; close or reload the other tabs";
      line.postMessage({ to: "tab", refuse: { code: codes.otherVersion, message } } satisfies Line);
      line.close();
      return;
    }
    if (hello.version > config.version) {
      // The newer app must hold the database: it may have columns that this one does not know.
      line.close();
      this.#stopped(null);
      return;
    }
    const say = (message: Line) => line.postMessage(message);
    const peer: Peer = { tab: hello.tab, news: (news: News) => say({ to: "tab", news }) };
    line.onmessage = (event: MessageEvent<Line>) => {
      const message = event.data;
      if (message.to !== "owner") return;
      const { id } = message;
      host.ask(peer, id, message.ask).then(
        (value) => say({ to: "tab", answer: { id, value: value ?? null } }),
        (thrown) => say({ to: "tab", answer: { id, error: dataOf(thrown) } }),
      );
    };
    const end = () => {
      this.#others.delete(hello.tab);
      host.leave(peer);
      line.close();
    };
    const welcome = () => {
      say({ to: "tab", welcome: { epoch: host.epoch } });
      host.join(peer, "follower");
    };
    this.#others.set(hello.tab, welcome);
    void navigator.locks.request(tabLock(config.name, hello.tab), end);
    welcome();
  }
}
