// Shows the price while the quote form is filled in. Without it the price is on the next page.
const form = document.querySelector("form[data-estimate]");

if (form) {
  const output = form.querySelector("output");
  const unknown = "Answer the first two questions to see it.";
  const linger = 250; // ms without a keystroke before we ask
  let timer;
  let pending = new AbortController();

  const write = (text, isPrice) => {
    output.textContent = text;
    output.classList.toggle("is-price", isPrice);
  };

  const show = async () => {
    pending.abort();
    pending = new AbortController();
    const { product, value } = Object.fromEntries(new FormData(form));
    if (!product || !value) return write(unknown, false);
    try {
      const query = new URLSearchParams({ product, value });
      const answer = await fetch(`${form.dataset.estimate}?${query}`, { signal: pending.signal });
      const { text, faults } = await answer.json();
      write(text ?? Object.values(faults)[0], Boolean(text));
    } catch (error) {
      if (error.name !== "AbortError") write(unknown, false);
    }
  };

  form.addEventListener("input", (event) => {
    if (event.target.name !== "product" && event.target.name !== "value") return;
    clearTimeout(timer);
    timer = setTimeout(show, linger);
  });
  show();
}
