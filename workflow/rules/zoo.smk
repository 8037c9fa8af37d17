# Training every nano model from scratch, in the order in which they build on each other, and
# scoring it on characters it never saw. Checkpoints lie in results/zoo/work, which Snakemake does
# not own: a job that was killed goes on where it stopped.

STEPS = config.get("zoo_steps")
COUNT = config.get("zoo_characters", 58)


rule zoo:
    input:
        expand("results/zoo/scores/{role}.json", role=roles.MODULES),
    message:
        "All nano models are trained and scored: models in results/zoo/models, "
        "scores in results/zoo/scores."


rule zoo_train:
    input:
        lambda wildcards: zoo_needs(wildcards.role),
    output:
        "results/zoo/models/{role}/card.json",
    log:
        "results/logs/zoo/train-{role}.log",
    benchmark:
        "results/benchmarks/zoo/train-{role}.tsv"
    wildcard_constraints:
        role="|".join(roles.MODULES),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=600,
    params:
        steps="" if STEPS is None else f"--steps {STEPS}",
    message:
        "Training the nano model for {wildcards.role}."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 zoo train {wildcards.role} "
        "--models results/zoo/models --work results/zoo/work/{wildcards.role} {params.steps} > {log} 2>&1"


rule zoo_score:
    input:
        card="results/zoo/models/{role}/card.json",
        judges=expand(
            "results/zoo/models/{role}/card.json",
            role=["embedding", "action-recognition"],
        ),
        base=lambda wildcards: zoo_needs(wildcards.role),
    output:
        figures="results/zoo/scores/{role}.json",
    log:
        "results/logs/zoo/score-{role}.log",
    benchmark:
        "results/benchmarks/zoo/score-{role}.tsv"
    wildcard_constraints:
        role="|".join(roles.MODULES),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=60,
    params:
        characters=COUNT,
    message:
        "Scoring the nano model for {wildcards.role} on the test split."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 zoo evaluate {wildcards.role} "
        "--models results/zoo/models --count {params.characters} --sheet results/zoo/scores/{wildcards.role}.png "
        "--json > {output.figures} 2> {log}"
