(() => {
  "use strict";
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  const tools = document.querySelector(".tools");
  const rows = all(".row"), texts = new Map();
  const text = (row) => {
    if (!texts.has(row)) {
      const head = row.closest(".group")?.firstElementChild.textContent ?? "";
      texts.set(row, `${head} ${row.textContent}`.toLowerCase());
    }
    return texts.get(row);
  };
  const show = () => {
    const words = tools.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
    const chips = all(".filters :checked").map((chip) => chip.value).filter(Boolean);
    const left = new Set(rows.filter((row) => {
      const found = words.every((word) => text(row).includes(word));
      row.classList.toggle("x", !found);
      return found && chips.every((chip) => row.classList.contains(chip));
    }));
    for (const part of all(".group, .part")) {
      const some = all(".row", part).some((row) => left.has(row));
      part.classList.toggle("x", !some);
      if (some && words.length) part.open = true;
    }
    document.querySelector("main").classList.toggle("found", words.length > 0);
    const number = (one) => one.toLocaleString("en");
    const of = left.size < rows.length ? ` of ${number(rows.length)}` : "";
    tools.querySelector("output").textContent = `${number(left.size)}${of} shown`;
  };
  const go = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let at = target; at; at = at.parentElement) if ("open" in at) at.open = true;
    target?.scrollIntoView();
  };
  const offer = (line) => {
    const code = line.querySelector("code"), button = document.createElement("button");
    const say = (words) => { button.textContent = words; };
    button.type = "button";
    say("Copy");
    button.onclick = () => {
      getSelection().selectAllChildren(code);
      const done = navigator.clipboard?.writeText(code.textContent) ?? Promise.reject();
      done.then(() => say("Copied"), () => say("Selected: copy it with Ctrl+C"));
    };
    line.append(button);
  };
  const offers = () => all("details[open] .do, section > .do").forEach((line) => {
    if (!line.querySelector("button")) offer(line);
  });
  if (tools) {
    tools.hidden = false;
    tools.oninput = show;
    document.querySelector(".filters").onchange = show;
    const button = tools.querySelector("button");
    button.onclick = () => {
      const open = button.textContent === "Expand all";
      for (const item of all("details.row, .group")) item.open = open;
      button.textContent = open ? "Collapse all" : "Expand all";
    };
    addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.target === tools.querySelector("input")) return;
      event.preventDefault();
      tools.querySelector("input").focus();
    });
    show();
  }
  addEventListener("toggle", offers, true);
  addEventListener("hashchange", go);
  offers();
  if (location.hash) go();
})();
