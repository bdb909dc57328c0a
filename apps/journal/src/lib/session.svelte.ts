// Who is signed in on this device. Each person has a local database of their own.
//
// The token is kept beside the name, in `localStorage`: a start without a network must know whose database to open
// before it can ask anybody, and must be able to sync when the network comes back hours later. A script that runs in
// this page could read it wherever the page itself can (IndexedDB and the database are no safer); what keeps others'
// scripts out is the content security policy, and what limits the loss is a token that expires.

import { keep, kept } from "./kept";

export interface Session {
  readonly subject: string;
  readonly token: string;
}

function stored(): Session | null {
  try {
    const read: unknown = JSON.parse(kept("session") ?? "null");
    if (read === null || typeof read !== "object") return null;
    const { subject, token } = read as Partial<Session>;
    return typeof subject === "string" && typeof token === "string" ? { subject, token } : null;
  } catch {
    // Damaged: nobody is signed in.
    return null;
  }
}

let current = $state.raw<Session | null>(stored());

export const session = {
  get current(): Session | null {
    return current;
  },
  signIn(next: Session): void {
    keep("session", JSON.stringify(next));
    current = next;
  },
  signOut(): void {
    keep("session", null);
    current = null;
  },
};

/** A name, as a development server believes it. */
export function ofName(name: string): Session {
  const subject = name.trim();
  return { subject, token: `dev:${subject}` };
}

/** A token, whose claim `sub` names the person; `null` when it has none. The server checks the rest. */
export function ofToken(token: string): Session | null {
  const text = token.trim();
  if (text.startsWith("dev:") && text.length > 4) return ofName(text.slice(4));
  try {
    const part = text.split(".")[1]?.replaceAll("-", "+").replaceAll("_", "/") ?? "";
    const bytes = Uint8Array.from(atob(part), (c) => c.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown };
    return typeof sub === "string" && sub !== "" ? { subject: sub, token: text } : null;
  } catch {
    return null;
  }
}

/** How the server wants to know people; `null` when it cannot be asked. */
export async function howToSignIn(): Promise<"name" | "token" | null> {
  try {
    const answer = await fetch("/health", { headers: { accept: "application/json" } });
    const { sign_in } = (await answer.json()) as { sign_in?: unknown };
    return sign_in === "name" || sign_in === "token" ? sign_in : null;
  } catch {
    return null;
  }
}
