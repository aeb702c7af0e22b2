// The slider: two pictures on top of each other, the upper one cut at `--cut`. Pictures come from the gallery below,
// so that none is in the file twice.
for (const box of document.querySelectorAll(".compare")) {
  const [under, over] = box.querySelectorAll(".stage img");
  const [left, right] = box.querySelectorAll("select");
  const range = box.querySelector("input");
  const stage = box.querySelector(".stage");
  const show = (image, id) => {
    const picture = document.getElementById(id);
    image.src = picture.src;
    image.alt = picture.alt;
  };
  const cut = (percent) => {
    range.value = percent;
    stage.style.setProperty("--cut", `${percent}%`);
  };
  const drag = (event) => {
    const place = stage.getBoundingClientRect();
    cut(Math.min(100, Math.max(0, (100 * (event.clientX - place.left)) / place.width)));
  };
  left.addEventListener("change", () => show(under, left.value));
  right.addEventListener("change", () => show(over, right.value));
  range.addEventListener("input", () => cut(range.value));
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    drag(event);
  });
  stage.addEventListener("pointermove", (event) => event.buttons && drag(event));
  show(under, left.value);
  show(over, right.value);
  box.hidden = false;
}
