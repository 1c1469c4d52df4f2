// Draw the diagrams: Mermaid reads plain text, without the elements of syntax highlighting.
const diagrams = document.querySelectorAll(".highlight-mermaid pre");
diagrams.forEach((each) => { each.textContent = each.textContent; });
mermaid.initialize({ startOnLoad: false, theme: "neutral" });
mermaid.run({ nodes: diagrams });
