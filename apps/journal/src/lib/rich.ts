// The editor of a page: what a text may be made of, and how other people's cursors are drawn.

import { Editor, Extension } from "@tiptap/core";
import Collaboration from "@tiptap/extension-collaboration";
import { Placeholder } from "@tiptap/extensions";
import StarterKit from "@tiptap/starter-kit";
import { yCursorPlugin, yUndoPluginKey } from "@tiptap/y-tiptap";
import type { Awareness } from "y-protocols/awareness";
import { told, toneOf } from "./here";
import type { Together } from "./together.svelte";

/** Where somebody else's cursor is, with their name. Not for screen readers, to which it would be a part of the text. */
function caret(user: unknown): HTMLElement {
  const who = told({ user });
  const [at, name] = [document.createElement("span"), document.createElement("span")];
  at.className = "caret";
  at.dataset.tone = String(toneOf(who?.subject ?? ""));
  at.ariaHidden = "true";
  name.className = "caret-name";
  name.textContent = who?.name ?? "?";
  // Without something on both sides, browsers would not let one's own cursor past it.
  at.append("\u2060", name, "\u2060");
  return at;
}

function selected(user: unknown) {
  const who = told({ user });
  return { class: "selected", "data-tone": String(toneOf(who?.subject ?? "")) };
}

const Cursors = Extension.create<{ awareness: Awareness | null }>({
  name: "cursors",
  addOptions: () => ({ awareness: null }),
  addProseMirrorPlugins() {
    const { awareness } = this.options;
    return awareness === null ? [] : [yCursorPlugin(awareness, { cursorBuilder: caret, selectionBuilder: selected })];
  },
});

/** What others link to is shown as it is; only what a page may open is a link. */
export const isLink = (href: string) => /^(https?|mailto|tel):/i.test(href.trim());

/** `ferry.example` is meant as `https://ferry.example`; what names another scheme is no link, and empty. */
export function asLink(typed: string): string {
  const text = typed.trim();
  if (text === "" || /\s/.test(text)) return "";
  if (isLink(text)) return text;
  if (/^[^@/:]+@[^@/:]+\.[^@/:]+$/.test(text)) return `mailto:${text}`;
  return /^[a-z][a-z0-9+.-]*:(?!\d)/i.test(text) ? "" : `https://${text}`;
}

/** What comes now is an undo of its own: what is typed within half a second is else taken back as one. */
export function apart(editor: Editor): void {
  yUndoPluginKey.getState(editor.state)?.undoManager.stopCapturing();
}

export interface Wishes {
  readonly editable: boolean;
  readonly placeholder: string;
  /** From the text to the tools, by keyboard. */
  readonly tools: () => void;
  readonly link: () => void;
}

/** A key that does this, and nothing else. */
const taken = (act: () => void) => () => {
  act();
  return true;
};

export function editorOn(element: HTMLElement, together: Together, wishes: Wishes): Editor {
  const Keys = Extension.create({
    name: "keys",
    addKeyboardShortcuts: () => ({ "Alt-F10": taken(wishes.tools), "Mod-k": taken(wishes.link) }),
  });
  return new Editor({
    element,
    editable: wishes.editable,
    // Its styles are the app's.
    injectCSS: false,
    extensions: [
      StarterKit.configure({
        heading: { levels: [2, 3] },
        // Each editor would add one of its own to what others write.
        trailingNode: false,
        // It looks like a link.
        underline: false,
        undoRedo: false,
        link: {
          openOnClick: "whenNotEditable",
          isAllowedUri: (url) => isLink(url),
          defaultProtocol: "https",
          HTMLAttributes: { rel: "noopener noreferrer nofollow", target: "_blank" },
        },
      }),
      Collaboration.configure({ fragment: together.text }),
      Cursors.configure({ awareness: together.awareness }),
      Placeholder.configure({ placeholder: wishes.placeholder }),
      Keys,
    ],
    editorProps: {
      attributes: { role: "textbox", "aria-multiline": "true", "aria-label": "Text", spellcheck: "true" },
    },
  });
}
