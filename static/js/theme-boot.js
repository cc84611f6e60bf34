// theme-boot.js: classic, blocking, in the head, so that the chosen theme stands before the first paint.
(function () {
  try {
    var theme = localStorage.getItem("nasweb-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch (e) {
    // storage may be refused (private windows): then the system's choice stands
  }
})();
