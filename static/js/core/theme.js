/* theme.js: light or dark.
   current() -> "light" | "dark";  setTheme("light" | "dark" | null);  onThemeChange(callback) -> stop()
   Buttons with [data-theme-switch] toggle. Storing null goes back to the system's choice. */
const KEY = "nasweb-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

export const current = () => document.documentElement.dataset.theme || (system.matches ? "dark" : "light");

function told() {
  label();
  for (const callback of listeners) callback(current());
}

export function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  try {
    if (theme) localStorage.setItem(KEY, theme);
    else localStorage.removeItem(KEY);
  } catch {
    // not stored: holds for this page only
  }
  told();
}

export function onThemeChange(callback) {
  listeners.add(callback);
  return () => listeners.delete(callback);
}

function label() {
  const text = current() === "dark" ? "Light theme" : "Dark theme";
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    button.setAttribute("aria-label", text);
    button.title = text;
  }
}

export function start() {
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-theme-switch]")) setTheme(current() === "dark" ? "light" : "dark");
  });
  system.addEventListener("change", told);
  addEventListener("storage", (event) => {
    if (event.key !== KEY) return; // another tab switched
    if (event.newValue) document.documentElement.dataset.theme = event.newValue;
    else delete document.documentElement.dataset.theme;
    told();
  });
  label();
}
