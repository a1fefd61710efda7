// What scrolls can be reached by keyboard, and nested lists of links are no landmarks of one name.
document$.subscribe(() => {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  for (const box of document.querySelectorAll(".md-typeset pre > code, .md-typeset__scrollwrap, div:has(> table.dataframe)")) box.tabIndex = 0;
  for (const part of document.querySelectorAll(".md-code__nav, .md-nav--secondary .md-nav")) {
    part.setAttribute("role", "none");
    part.removeAttribute("aria-label");
    part.removeAttribute("aria-labelledby");
  }
});
