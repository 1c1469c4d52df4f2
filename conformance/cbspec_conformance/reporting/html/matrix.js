// The matrix over implementations needs no more than the filters and the keyboard.

keys.j = () => step(all("tr[data-requirement] a.id"), 1);
keys.k = () => step(all("tr[data-requirement] a.id"), -1);
keys.d = () => { $("differ").checked = !$("differ").checked; return filter(); };
start();
