// Where in the app a person is: the part of the address after `#`, so that the page itself is always one file.

export type Route =
  | { readonly page: "notes"; readonly id: string | null }
  | { readonly page: "posts"; readonly view: "everyone" | "mine" }
  | { readonly page: "post"; readonly id: string }
  | { readonly page: "pages"; readonly view: "mine" | "others" }
  | { readonly page: "page"; readonly id: string };

export function parse(hash: string): Route {
  const [page, rest] = hash
    .replace(/^#?\/?/, "")
    .split("/")
    .map(decodeURIComponent);
  if (page === "posts") return { page, view: rest === "mine" ? "mine" : "everyone" };
  if ((page === "post" || page === "page") && rest) return { page, id: rest };
  if (page === "pages") return { page, view: rest === "others" ? "others" : "mine" };
  return { page: "notes", id: page === "notes" && rest ? rest : null };
}

export const to = {
  notes: "#/notes",
  note: (id: string) => `#/notes/${id}`,
  posts: "#/posts",
  mine: "#/posts/mine",
  post: (id: string) => `#/post/${id}`,
  pages: "#/pages",
  othersPages: "#/pages/others",
  page: (id: string) => `#/page/${id}`,
};

let current = $state.raw(parse(location.hash));
window.addEventListener("hashchange", () => {
  current = parse(location.hash);
});

export const router = {
  get route(): Route {
    return current;
  },
  go(hash: string): void {
    location.hash = hash;
  },
  /** Goes there without a step to go back to. */
  replace(hash: string): void {
    history.replaceState(null, "", hash);
    current = parse(hash);
  },
};
