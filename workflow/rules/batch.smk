# All scenes of the table. A scene that fails stops no other (`keep-going` in the profiles), and what
# became of each is written down either way: by `summary` if all is well, by `onerror` if it is not.


SUMMARY = "python -m animate124.scenes.summary --results results --out results"


rule batch:
    input:
        expand("results/{scene}/all", scene=PLAN.scenes),
        "results/summary.tsv",
    message:
        "All scenes are made; results/summary.tsv tells how each came out."


rule summary:
    input:
        expand("results/{scene}/metrics.json", scene=PLAN.scenes),
    output:
        "results/summary.tsv",
        "results/summary.json",
    log:
        "results/logs/summary.log",
    conda:
        "../../environment.yml"
    params:
        scenes=list(PLAN.scenes),
    message:
        "Summing up all scenes."
    shell:
        f"{SUMMARY} {{params.scenes}} > {{log}} 2>&1"
