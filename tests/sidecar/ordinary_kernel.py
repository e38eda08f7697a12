"""Run by an ordinary account: starts a guarded kernel, runs cells, prints what was seen (JSON)."""

import json
import os
import sys
from pathlib import Path

from cloister.store.home import Home, ensure_home
from jupyter_client.manager import KernelManager

policy, cells = sys.argv[1], json.loads(sys.argv[2])
home = ensure_home(Home(Path.home() / "cloister"))
home.policy_path.write_text(policy)
os.environ["CLOISTER_HOME"] = str(home.root)
workspace = Path.home() / "work"
workspace.mkdir()
manager = KernelManager(kernel_name="cloister")
manager.start_kernel(cwd=str(workspace))
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=60)
state = json.loads(next(home.run_dir.glob("*/state.json")).read_text())
texts = []
for cell in cells:
    said = []
    reply = client.execute_interactive(cell, timeout=60, output_hook=said.append)
    contents = [message["content"] for message in said]
    text = "".join(c.get("text") or c.get("data", {}).get("text/plain", "") for c in contents)
    texts.append(text or reply["content"].get("evalue", ""))
client.stop_channels()
manager.shutdown_kernel(now=True)
print(json.dumps({**state, "texts": texts}))
