// A click on a word of the passage: its signal, where on the head it is, and the candidates. Nothing leaves the page.
(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("passage-data").textContent);
  const panel = document.getElementById("passage-panel");
  const { INK, FAINT, ACCENT, AMBER } = data.colours, MAP = 120;

  const add = (parent, tag, text, style) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text; // never innerHTML: a word is not markup
    if (style) made.style.cssText = style;
    return parent.appendChild(made);
  };

  const numbers = (signal) => { // sensors one after the other, in the group's unit
    const bytes = Int8Array.from(atob(signal.data), (letter) => letter.charCodeAt(0));
    return Float32Array.from(bytes, (byte) => byte * signal.step);
  };

  const canvas = (parent, width, height, label) => {
    const made = add(parent, "canvas"), ratio = window.devicePixelRatio || 1;
    made.width = width * ratio; made.height = height * ratio;
    made.style.cssText = `width:${width}px;height:${height}px`;
    made.setAttribute("role", "img"); made.setAttribute("aria-label", label);
    const pen = made.getContext("2d");
    pen.scale(ratio, ratio); pen.font = "11px sans-serif"; pen.fillStyle = INK;
    return pen;
  };

  const round = (value) => { // two figures that a person reads easily
    const power = Math.pow(10, Math.floor(Math.log10(value)));
    return [1, 2, 2.5, 5, 10].map((part) => part * power).filter((tick) => tick <= value).pop();
  };

  function butterfly(parent, group, values, samples) {
    const width = 520, height = 210, left = 58, right = 8, top = 12, low = 34;
    const pen = canvas(parent, width, height, `${group.title}: signal of all sensors`);
    const most = values.reduce((so, value) => Math.max(so, Math.abs(value)), 0) || 1, tick = round(most);
    const x = (n) => left + (width - left - right) * n / (samples - 1);
    const y = (value) => top + (height - top - low) * (0.5 - value / (2.1 * most));
    const at = (time) => x((time - data.offset_s) * data.sfreq_hz);
    pen.strokeStyle = FAINT; pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(at(0), top); pen.lineTo(at(0), height - low);
    pen.moveTo(left, y(0)); pen.lineTo(width - right, y(0)); pen.stroke();
    pen.strokeStyle = INK; pen.globalAlpha = 0.35; pen.lineWidth = 0.6;
    for (let row = 0; row < values.length / samples; row++) {
      pen.beginPath();
      for (let n = 0; n < samples; n++) pen.lineTo(x(n), y(values[row * samples + n]));
      pen.stroke();
    }
    pen.globalAlpha = 1; pen.strokeStyle = AMBER; pen.lineWidth = 1.2; pen.setLineDash([4, 3]);
    data.latencies_s.forEach((time) => {
      pen.beginPath(); pen.moveTo(at(time), top); pen.lineTo(at(time), height - low); pen.stroke();
    });
    pen.setLineDash([]); pen.textAlign = "center"; pen.textBaseline = "top";
    const last = data.offset_s + (samples - 1) / data.sfreq_hz;
    for (let time = Math.ceil(2 * data.offset_s) / 2; time <= last; time += 0.5)
      pen.fillText(time.toFixed(1), at(time), height - low + 4);
    pen.fillText("time after word onset (s)", (left + width - right) / 2, height - 13);
    pen.textAlign = "right"; pen.textBaseline = "middle";
    [-tick, 0, tick].forEach((value) => pen.fillText(+value.toPrecision(2), left - 5, y(value)));
    pen.save(); pen.translate(9, y(0)); pen.rotate(-Math.PI / 2); pen.textAlign = "center";
    pen.fillText(`signal (${group.unit})`, 0, 0); pen.restore();
  }

  const mix = (from, to, share) => from.map((part, n) => Math.round(part + (to[n] - part) * share));
  const paint = (share, signed) => signed // blue - white - orange, or white - blue: safe for the colour-blind
    ? (share < 0 ? mix([247, 247, 247], [33, 102, 172], -share) : mix([247, 247, 247], [179, 88, 6], share))
    : mix([247, 247, 247], [8, 48, 107], share);

  function topography(parent, group, atPlace, most, time) {
    const box = add(parent, "div", undefined, "display:inline-block;text-align:center;font-size:11px;margin-right:6px");
    add(box, "div", `${time.toFixed(2)} s`);
    const pen = canvas(box, MAP, MAP + 8, `${group.title} at ${time} s`), size = 48, middle = MAP / 2, radius = middle - 4;
    const image = document.createElement("canvas");
    image.width = image.height = size;
    const brush = image.getContext("2d"), pixels = brush.createImageData(size, size);
    for (let row = 0; row < size; row++) for (let column = 0; column < size; column++) {
      const u = (2 * column + 1) / size - 1, v = 1 - (2 * row + 1) / size;
      if (u * u + v * v > 1.04) continue;
      let sum = 0, weights = 0;
      group.xy.forEach(([px, py], n) => {
        const far = ((px - u) ** 2 + (py - v) ** 2) / (group.reach * group.reach);
        const weight = Math.exp(-far) + 1e-9 / (1e-6 + far);
        sum += weight * atPlace[n]; weights += weight;
      });
      const share = Math.max(-1, Math.min(1, sum / weights / most)), place = 4 * (row * size + column);
      pixels.data.set([...paint(share, group.signed), 255], place);
    }
    brush.putImageData(pixels, 0, 0);
    pen.save(); pen.beginPath(); pen.arc(middle, middle + 6, radius, 0, 7); pen.clip();
    pen.imageSmoothingEnabled = true;
    pen.drawImage(image, middle - radius, middle + 6 - radius, 2 * radius, 2 * radius); pen.restore();
    pen.strokeStyle = INK; pen.beginPath(); pen.arc(middle, middle + 6, radius, 0, 7); pen.stroke();
    pen.beginPath(); pen.moveTo(middle - 7, 11); pen.lineTo(middle, 1); pen.lineTo(middle + 7, 11); pen.stroke();
    group.xy.forEach(([px, py]) => pen.fillRect(middle + px * radius - 0.5, middle + 6 - py * radius - 0.5, 1, 1));
  }

  function bar(parent, group, most) {
    const box = add(parent, "div", undefined, "display:inline-block;vertical-align:top");
    const pen = canvas(box, 92, MAP + 26, `colours: ${group.title}`), top = 24, tall = MAP - 12;
    for (let n = 0; n < tall; n++) {
      const share = group.signed ? 1 - 2 * n / (tall - 1) : 1 - n / (tall - 1);
      pen.fillStyle = `rgb(${paint(share, group.signed).join(",")})`; pen.fillRect(4, top + n, 10, 1.5);
    }
    pen.fillStyle = INK; pen.textBaseline = "middle";
    pen.fillText(`${+most.toPrecision(2)} ${group.unit}`, 18, top + 4);
    pen.fillText(group.signed ? `−${+most.toPrecision(2)} ${group.unit}` : `0 ${group.unit}`, 18, top + tall - 4);
  }

  function maps(parent, group, values, samples) {
    const row = add(parent, "div", undefined, "white-space:nowrap");
    const parts = data.latencies_s.map((time) => {
      const n = Math.max(0, Math.min(samples - 1, Math.round((time - data.offset_s) * data.sfreq_hz)));
      return group.places.map((rows) => group.signed ? values[rows[0] * samples + n]
        : Math.sqrt(rows.reduce((sum, r) => sum + values[r * samples + n] ** 2, 0) / rows.length));
    });
    const most = Math.max(...parts.flat().map(Math.abs)) || 1;
    parts.forEach((atPlace, n) => topography(row, group, atPlace, most, data.latencies_s[n]));
    bar(row, group, most);
  }

  function candidates(parent, word) {
    const box = add(parent, "div", undefined, "min-width:17em");
    add(box, "div", `Best candidates (${data.score})`, "font-weight:600;margin-bottom:.3em");
    const most = Math.max(...word.best.map(([, value]) => Math.abs(value))) || 1;
    word.best.forEach(([text, value], n) => {
      const mine = text === word.text;
      const row = add(box, "div", undefined, `display:flex;gap:.5em;align-items:center;font-weight:${mine ? 700 : 400}`);
      add(row, "span", `${n + 1}.`, "width:1.7em;text-align:right");
      add(row, "span", (mine ? "✓ " : "") + text, "width:8em;overflow:hidden;text-overflow:ellipsis");
      add(row, "span", "", `height:.7em;width:${Math.round(60 * Math.abs(value) / most)}px;background:${mine ? ACCENT : FAINT}`);
      add(row, "span", value.toFixed(3));
    });
  }

  function show(button) {
    const word = data.words[+button.dataset.word];
    document.querySelectorAll("button.pw[aria-pressed=true]").forEach((other) => other.setAttribute("aria-pressed", "false"));
    button.setAttribute("aria-pressed", "true");
    panel.replaceChildren();
    add(panel, "h4", word.text);
    add(panel, "p", `${word.place}. ${word.verdict}`);
    const row = add(panel, "div", undefined, "display:flex;flex-wrap:wrap;gap:1.5em;align-items:flex-start");
    candidates(row, word);
    if (!word.signals) { add(row, "p", data.without_signal); return; }
    data.arrays[word.array].forEach((group, n) => {
      const box = add(row, "div"), values = numbers(word.signals[n]);
      const samples = values.length / group.sensors;
      add(box, "div", `${group.title}, ${group.sensors} sensors`, "font-weight:600");
      butterfly(box, group, values, samples);
      if (group.xy.length) maps(box, group, values, samples);
    });
  }

  document.querySelectorAll("button.pw").forEach((button) => button.addEventListener("click", () => show(button)));
  const first = document.querySelector("button.pw");
  if (first) show(first);
})();
