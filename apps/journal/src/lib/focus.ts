// The focus is somewhere, always: whoever works by keyboard or screen reader goes on from there.

/** Where it goes when what had it is gone: to the top of the drawer that is open, or to the page. */
function rest(): HTMLElement | null {
  const drawers = document.querySelectorAll<HTMLElement>("dialog[open] [data-rest]");
  return drawers[drawers.length - 1] ?? document.getElementById("main");
}

/**
 * An entry that was sent, a notice that was read, a button that has nothing left to do: each may go while it has the
 * focus, which browsers then drop. It goes to where it can rest, unless somebody has taken it. Gives what ends that.
 */
export function keepFocus(): () => void {
  let last: Element | null = null;
  const took = (event: Event) => {
    last = event.type === "focusin" && event.target instanceof Element ? event.target : null;
  };
  const look = () => {
    if (last === null || (last.isConnected && !last.matches(":disabled"))) return;
    const now = document.activeElement;
    const isLost = now === null || now === document.body || now === last;
    last = null;
    if (isLost) rest()?.focus();
  };
  const observer = new MutationObserver(look);
  observer.observe(document.body, {
    subtree: true,
    childList: true,
    attributes: true,
    attributeFilter: ["disabled", "hidden"],
  });
  document.addEventListener("focusin", took);
  // Who clicks beside everything wants nothing to have it.
  document.addEventListener("pointerdown", took);
  return () => {
    observer.disconnect();
    document.removeEventListener("focusin", took);
    document.removeEventListener("pointerdown", took);
  };
}
