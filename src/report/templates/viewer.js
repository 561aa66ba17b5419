document.addEventListener("DOMContentLoaded", async () => {
  const section = document.querySelector("#viewer"), film = section.querySelector(".planes");
  const data = JSON.parse(section.querySelector("script[type]").textContent), [nx, ny, nz] = data.size;
  const grey = new Uint8Array(nx * ny * nz), label = new Uint16Array(grey.length), strides = [1, nx, nx * ny];
  const output = section.querySelector("output"), input = name => section.querySelector(`[name=${name}]`);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const apply = (rows, p) => rows.map(row => row[0] * p[0] + row[1] * p[1] + row[2] * p[2] + row[3]);
  const buffer = document.createElement("canvas"), paint = buffer.getContext("2d", { willReadFrequently: true });
  let at = data.size.map(size => (size - 1) / 2), centre = at, lesion = null;

  buffer.width = nx; buffer.height = ny;
  await Promise.all(data.slices.map(async (address, z) => {
    const image = new Image();
    await new Promise((done, fail) => Object.assign(image, { onload: done, onerror: fail, src: address }));
    paint.drawImage(image, 0, 0);
    const pixels = paint.getImageData(0, 0, nx, ny).data;
    for (let i = 0; i < nx * ny; i++) grey[z * nx * ny + i] = pixels[4 * i];
  }));
  for (const { id, runs } of data.lesions)
    for (let i = 0; i < runs.length; i += 2) label.fill(id, runs[i], runs[i] + runs[i + 1]);

  const planes = [...film.children].map((box, n) => {
    const axis = 2 - n, [u, v] = [0, 1, 2].filter(other => other !== axis);
    return { axis, u, v, box, canvas: box.querySelector("canvas"), slider: box.querySelector("input"),
      letters: data.letters[axis], image: new ImageData(data.size[u], data.size[v]) };
  });

  function view(plane) {
    const { canvas, u, v } = plane, zoom = +input("zoom").value, scale = canvas.width / data.size[u] / data.voxel[u];
    const mm = [u, v].map(a => data.voxel[a] * scale * zoom), full = [u, v].map((a, k) => data.size[a] * mm[k]);
    const place = (point, a, k) => (data.size[a] - 0.5 - point[a]) * mm[k];
    const shift = [u, v].map((a, k) => {
      const length = k ? canvas.height : canvas.width;
      return full[k] > length ? clamp(length / 2 - place(centre, a, k), length - full[k], 0) : (length - full[k]) / 2;
    });
    return { mm, full, shift, here: [u, v].map((a, k) => place(at, a, k) + shift[k]) };
  }

  function draw(plane) {
    const { canvas, axis, u, v, image, slider, letters } = plane, context = canvas.getContext("2d");
    const w = image.width, h = image.height, index = Math.round(at[axis]), pixels = new Uint32Array(image.data.buffer);
    const brightness = +input("brightness").value, contrast = +input("contrast").value;
    const place = (c, r) => index * strides[axis] + (w - 1 - c) * strides[u] + (h - 1 - r) * strides[v];
    for (let r = 0; r < h; r++) for (let c = 0; c < w; c++) {
      const value = clamp((grey[place(c, r)] + brightness - 128) * contrast + 128, 0, 255);
      pixels[r * w + c] = value << 16 | value << 8 | value | 0xff000000;
    }
    buffer.width = w; buffer.height = h;
    paint.putImageData(image, 0, 0);
    canvas.width = canvas.clientWidth * devicePixelRatio; canvas.height = canvas.clientHeight * devicePixelRatio;
    const { mm, full, shift, here } = view(plane);
    context.imageSmoothingEnabled = false;
    context.drawImage(buffer, ...shift, ...full);
    context.lineWidth = 1.5 * devicePixelRatio;
    if (!document.body.classList.contains("bare")) {
      const id = (c, r) => c < 0 || r < 0 || c >= w || r >= h ? 0 : label[place(c, r)];
      context.beginPath();
      for (let r = 0; r <= h; r++) for (let c = 0; c <= w; c++) {
        const x = c * mm[0] + shift[0], y = r * mm[1] + shift[1], own = id(c, r);
        if (own !== id(c - 1, r)) { context.moveTo(x, y); context.lineTo(x, y + mm[1]); }
        if (own !== id(c, r - 1)) { context.moveTo(x, y); context.lineTo(x + mm[0], y); }
      }
      context.strokeStyle = "#ffb31a"; context.stroke();
      const gap = Math.max(6 * mm[0] / data.voxel[u], 8 * devicePixelRatio), [x, y] = here;
      context.beginPath();
      [[0, y, x - gap, y], [x + gap, y, canvas.width, y], [x, 0, x, y - gap], [x, y + gap, x, canvas.height]]
        .forEach(([a, b, c, d]) => { context.moveTo(a, b); context.lineTo(c, d); });
      context.strokeStyle = "rgb(53 208 192 / 0.7)"; context.lineWidth = devicePixelRatio; context.stroke();
    }
    context.fillStyle = "#dce6ee"; context.font = `600 ${14 * devicePixelRatio}px system-ui, sans-serif`;
    context.textBaseline = "middle"; context.strokeStyle = "#000"; context.lineWidth = 3 * devicePixelRatio;
    letters.forEach((letter, k) => {
      const x = k ? canvas.width - 6 * devicePixelRatio : 6 * devicePixelRatio;
      context.textAlign = k ? "right" : "left";
      context.strokeText(letter, x, canvas.height / 2);
      context.fillText(letter, x, canvas.height / 2);
    });
    slider.value = index;
  }

  function show() {
    planes.forEach(draw);
    const known = lesion || { mm: apply(data.toMm, at), voxel: apply(data.toVoxel, at) };
    const here = label[at.reduce((sum, value, axis) => sum + Math.round(value) * strides[axis], 0)];
    const name = lesion ? lesion.id : here;
    output.textContent = `${known.mm.map((one, k) => "xyz"[k] + " " + one.toFixed(1)).join(", ")} mm, ` +
      `voxel ${known.voxel.map(Math.round).join(", ")}${name ? `, id ${name}` : ""}`;
  }

  function go(point, found = null, follow = true) {
    at = point.map((value, axis) => clamp(value, 0, data.size[axis] - 1));
    lesion = found;
    if (follow) centre = at;
    show();
  }

  function goLesion(found, scroll) {
    if (!found) return;
    if (+input("zoom").value === 1) input("zoom").value = 3;
    go(found.at, found);
    if (scroll) section.scrollIntoView();
  }

  const move = (axis, by) => go(at.map((value, other) => other === axis ? Math.round(value) + by : value));

  planes.forEach(plane => {
    const { canvas, slider, axis, u, v } = plane;
    const point = event => {
      const { mm, shift } = view(plane), next = [...at], screen = [event.offsetX, event.offsetY];
      [u, v].forEach((a, k) =>
        next[a] = Math.round(data.size[a] - 0.5 - (screen[k] * devicePixelRatio - shift[k]) / mm[k]));
      go(next, null, false);
    };
    const keys = { ArrowLeft: [u, 1], ArrowRight: [u, -1], ArrowUp: [v, 1], ArrowDown: [v, -1],
      PageUp: [axis, 1], PageDown: [axis, -1] };
    canvas.style.aspectRatio = data.size[u] * data.voxel[u] / (data.size[v] * data.voxel[v]);
    plane.box.style.flexGrow = data.size[u] * data.voxel[u];
    slider.max = data.size[axis] - 1;
    slider.addEventListener("input", () => move(axis, slider.value - Math.round(at[axis])));
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("pointermove", event => event.buttons & 1 && point(event));
    canvas.addEventListener("pointerup", () => go(at, lesion));
    canvas.addEventListener("wheel", event => {
      if (document.activeElement !== canvas) return;
      event.preventDefault();
      move(axis, -Math.sign(event.deltaY));
    }, { passive: false });
    canvas.addEventListener("keydown", event => {
      if (!keys[event.key]) return;
      event.preventDefault();
      move(...keys[event.key]);
    });
  });
  section.querySelectorAll("[data-go]").forEach(button => button.addEventListener("click", () => {
    const count = data.lesions.length, now = data.lesions.indexOf(lesion), by = +button.dataset.go;
    goLesion(data.lesions[now < 0 ? (by > 0 ? 0 : count - 1) : (now + by + count) % count]);
  }));
  section.querySelectorAll(".controls input").forEach(one => one.addEventListener("input", show));
  document.querySelector("#outlines").addEventListener("change", show);
  document.addEventListener("click", event => {
    const part = event.target.closest("tr[id^=row-], .lesion-card");
    if (part && !event.target.closest("a") && !getSelection().toString())
      goLesion(data.lesions.find(one => one.id === +part.id.split("-")[1]), true);
  });

  section.querySelectorAll("[data-go]").forEach(button => button.hidden = !data.lesions.length);
  section.hidden = false;
  new ResizeObserver(show).observe(film);
  if (data.lesions.length) go(data.lesions[0].at, data.lesions[0]);
  section.dataset.ready = "";
});
