"""What `cost_peers.py` runs inside a peer's own Python: that peer's bills of the same layers, on chips of its own.

    PYTHON benchmarks/cost_peers_side.py accelforge|zigzag JOB.json ANSWER.json

The job names layers by their sizes; a layer is a convolution, a matrix times vectors one of 1 x 1. Seconds are
processor seconds of this process and of what it starts, import not counted, mapping counted; what a peer keeps on
disk is warm.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import logging
import resource
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Layer = dict[str, int]  # inputs, outputs, rows, columns (of the output), kernel, stride
Answer = dict[str, Any]


def seconds() -> float:
    """Processor seconds so far, of this process and of those it waited for."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


# ---- AccelForge --------------------------------------------------------------------------------------------------


def einsums(layers: list[Layer], weight_bits: int) -> str:
    """The layers in AccelForge's words, each on inputs of its own."""
    lines = ["renames:", "  einsums:", "  - name: default", "    tensor_accesses:"]
    lines += ["    - {name: input, source: Inputs & Intermediates, expected_count: 1}"]
    lines += ["    - {name: output, source: Outputs, expected_count: 1}"]
    lines += ["    - {name: weight, source: ~(input | output), expected_count: 1}"]
    lines += ["workload:", f"  bits_per_value: {{weight: {weight_bits}, input: 8, output: 8}}", "  einsums:"]
    for i, layer in enumerate(layers):
        stride, kernel = layer["stride"], layer["kernel"]
        ranges = {
            f"p{i}": layer["rows"],
            f"q{i}": layer["columns"],
            f"c{i}": layer["inputs"],
            f"m{i}": layer["outputs"],
        }
        if kernel > 1:
            ranges |= {f"r{i}": kernel, f"s{i}": kernel}
            read = f"I{i}[c{i}, H: p{i} * {stride} + r{i}, W: q{i} * {stride} + s{i}] * W{i}[r{i}, s{i}, c{i}, m{i}]"
        else:
            read = f"I{i}[c{i}, p{i}, q{i}] * W{i}[c{i}, m{i}]"
        lines += [f'  - einsum: "T{i}[p{i}, q{i}, m{i}] = {read}"', "    iteration_space_shape:"]
        lines += [f"    - 0 <= {name} < {size}" for name, size in ranges.items()]
        lines += [f"    renames: {{output: T{i}, input: I{i}, weight: W{i}}}"]
    return "\n".join(lines) + "\n"


def accelforge(job: dict[str, Any]) -> Iterator[Answer]:
    """One macro of each chip; inputs and outputs come from a memory that costs nothing, as its notebooks have it."""
    sys.path.insert(0, job["accelforge_examples"])
    af = importlib.import_module("accelforge")
    get_spec = importlib.import_module("_load_spec").get_spec
    importlib.import_module("accelforge.util.parallel").set_n_parallel_jobs(1)
    mappings = importlib.import_module("accelforge.mapper.FFM.mappings").Mappings
    mappings.render = lambda *_, **__: ""  # it draws each mapping with graphviz: no part of the estimate
    for chip, weight_bits in job["chips"]:
        get_spec(chip, add_dummy_main_memory=True).map_workload_to_arch(print_progress=False)  # warms its cache
        area = get_spec(chip).calculate_component_costs().arch.per_component_total_area
        for network, layers in job["networks"].items():
            start = seconds()
            spec = get_spec(chip, add_dummy_main_memory=True)
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write(einsums(layers, weight_bits))
                file.flush()
                spec.workload = af.Workload.from_yaml(file.name, top_key="workload")
                spec.renames = af.Renames.from_yaml(file.name, top_key="renames")
            spec.mapper.metrics = af.Metrics.ENERGY
            found = spec.map_workload_to_arch(print_progress=False)
            spent = seconds() - start
            energy = found.energy(per_component=True, per_action=True)
            split = {f"{part} {action}": float(value) * 1e12 for (part, action), value in energy.items() if value}
            counts = {f"{part} {action}": float(n) for (part, action), n in found.actions(per_component=True).items()}
            yield {
                "chip": chip,
                "network": network,
                "seconds": spent,
                "macs": float(found.n_computes()),
                "energy_pJ": split,
                "actions": counts,
                "latency_ns": float(found.latency()) * 1e9,
                "area_um2": {part: float(value) * 1e12 for part, value in area.items() if value},
            }


# ---- ZigZag ------------------------------------------------------------------------------------------------------


def zigzag_layers(layers: list[Layer]) -> list[dict[str, Any]]:
    """The layers in ZigZag's words, one after the other."""
    return [
        {
            "id": i,
            "name": f"layer{i}",
            "operator_type": "Conv",
            "equation": "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
            "dimension_relations": [f"ix={layer['stride']}*ox+1*fx", f"iy={layer['stride']}*oy+1*fy"],
            "loop_dims": ["B", "K", "C", "OY", "OX", "FY", "FX"],
            "loop_sizes": [1, *(layer[n] for n in ("outputs", "inputs", "rows", "columns", "kernel", "kernel"))],
            "operand_precision": {"W": 8, "I": 8, "O": 16, "O_final": 8},
            "operand_source": {"W": i, "I": max(i - 1, 0)},
        }
        for i, layer in enumerate(layers)
    ]


def zigzag_chip(yaml: Any, inputs: Path, chip: dict[str, Any], folder: str) -> tuple[str, str]:
    """Files of a macro of `chip` under the memories of ZigZag's example of its kind, and of the loops it unrolls."""
    with open(inputs / "hardware" / f"{chip['base']}.yaml") as file:
        made = yaml.safe_load(file)
    array = made["operational_array"]
    array.update(chip["array"])
    made["memories"]["cells"].update(chip["cells"])
    banks = len(array["dimensions"]) > 2
    for name in ("sram_256KB", "dram"):
        made["memories"][name]["served_dimensions"] = array["dimensions"]
    with open(inputs / "mapping" / "default_imc.yaml") as file:
        loops = yaml.safe_load(file)
    for entry in loops:
        if banks:
            entry["spatial_mapping_hint"]["D3"] = ["K"] if entry["name"] == "default" else ["G"]
    hardware, mapping = Path(folder) / "hardware.yaml", Path(folder) / "mapping.yaml"
    hardware.write_text(yaml.safe_dump(made, sort_keys=False))  # the order is the hierarchy
    mapping.write_text(yaml.safe_dump(loops))
    return str(hardware), str(mapping)


def zigzag(job: dict[str, Any]) -> Iterator[Answer]:
    """The macros under ZigZag's own example memories: registers, one SRAM, DRAM."""
    yaml = importlib.import_module("yaml")
    api = importlib.import_module("zigzag.api")
    inputs = Path(importlib.import_module("zigzag").__file__ or "").parent / "inputs"
    logging.disable(logging.CRITICAL)
    for network, layers in job["networks"].items():
        for chip in job["chips"]:
            with tempfile.TemporaryDirectory() as folder:
                hardware, mapping = zigzag_chip(yaml, inputs, chip, folder)
                start = seconds()
                _, _, clock_ns, _, found = api.get_hardware_performance_zigzag(
                    zigzag_layers(layers),
                    hardware,
                    mapping,
                    opt="energy",
                    dump_folder=folder,
                    in_memory_compute=True,
                    loma_show_progress_bar=False,
                )
                spent = seconds() - start
            run = zigzag_run([entry[0] for entry in found[0][1]], float(clock_ns))
            yield {"chip": chip["name"], "network": network, "seconds": spent, **run}


def zigzag_run(layers: Iterable[Any], clock_ns: float) -> Answer:
    """Sums over the layers; energy of a memory by its name."""
    energy: dict[str, float] = defaultdict(float)
    layer_pJ, cycles, ideal, macs, area = {}, 0.0, 0.0, 0.0, {}
    for found in layers:
        before = sum(energy.values())
        for part, value in found.mac_energy_breakdown.items():
            energy[part] += float(value)
        for operand, values in found.mem_energy_breakdown.items():
            memory = found.layer.memory_operand_links.layer_to_mem_op(operand)
            levels = found.accelerator.memory_hierarchy.get_memory_levels(memory)
            for level, value in zip(levels, values, strict=True):
                energy[f"memory {level.name} {operand}"] += float(value)
        layer_pJ[found.layer.name] = sum(energy.values()) - before
        cycles += float(found.latency_total2)
        ideal += float(found.ideal_temporal_cycle)
        macs += float(found.layer.total_mac_count)
        area = {part: float(value) * 1e6 for part, value in found.imc_area_breakdown.items() if value}
    return {
        "macs": macs,
        "energy_pJ": {part: value for part, value in energy.items() if value},
        "layer_pJ": layer_pJ,
        "latency_ns": cycles * clock_ns,
        "cycles": cycles,
        "ideal_cycles": ideal,
        "clock_ns": clock_ns,
        "area_um2": area,
    }


PEERS: dict[str, tuple[Callable[[dict[str, Any]], Iterator[Answer]], tuple[str, ...]]] = {
    "accelforge": (accelforge, ("accelforge", "hwcomponents", "hwcomponents-adc", "hwcomponents-neurosim")),
    "zigzag": (zigzag, ("zigzag-dse",)),
}


def main() -> None:
    peer, job_file, answer_file = sys.argv[1:4]
    bills, packages = PEERS[peer]
    answer: Answer = {
        "runs": [],
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "python": sys.version.split()[0],
    }
    for run in bills(json.loads(Path(job_file).read_text())):
        answer["runs"].append(run)
        Path(answer_file).write_text(json.dumps(answer, indent=1) + "\n")  # each as it comes: they take minutes
        print(run["chip"], run["network"], f"{run['seconds']:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
