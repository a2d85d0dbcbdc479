// Before anything is drawn: the theme that was chosen last time. A script of its own, so that nothing flashes.
(() => {
  try {
    const chosen = localStorage.getItem("nnstream-theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch {
    // storage may be forbidden; then the system decides
  }
})();
