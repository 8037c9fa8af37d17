# The second route: an asset, stage by stage (scene.smk says what all stages have in common).


rule surface:
    input:
        field="results/{scene}/static/field.safetensors",
        record="results/{scene}/static/stage.json",
    output:
        mesh="results/{scene}/surface/animated.glb",
        sheet="results/{scene}/surface/sheet.png",
        record="results/{scene}/surface/stage.json",
    log:
        "results/{scene}/logs/surface.log",
    benchmark:
        "results/{scene}/benchmarks/surface.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings_of("surface"),
        code=code_of("surface"),
        device=DEVICE,
    message:
        "{wildcards.scene}: making an asset of the scene that stands still."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 export results/{wildcards.scene}/static "
        "--out results/{wildcards.scene}/surface --work results/{wildcards.scene}/.work/surface "
        "--settings-json {params.settings:q} {params.device} > {log} 2>&1"


# It also writes asset.glb or, of Gaussians, gaussians.ply.
rule intake:
    input:
        asset=lambda wildcards: ask(PLAN.asset, wildcards.scene),
    output:
        placement="results/{scene}/intake/normalise.json",
        sheet="results/{scene}/intake/sheet.png",
        record="results/{scene}/intake/stage.json",
    log:
        "results/{scene}/logs/intake.log",
    benchmark:
        "results/{scene}/benchmarks/intake.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        settings=settings_of("intake"),
        code=code_of("intake"),
    message:
        "{wildcards.scene}: taking in {input.asset}."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 intake {input.asset:q} "
        "--out results/{wildcards.scene}/intake --work results/{wildcards.scene}/.work/intake "
        "--settings-json {params.settings:q} > {log} 2>&1"


# It also writes view_0.png and so on.
rule views:
    input:
        record="results/{scene}/intake/stage.json",
    output:
        cameras="results/{scene}/views/cameras.json",
        sheet="results/{scene}/views/sheet.png",
        record="results/{scene}/views/stage.json",
    log:
        "results/{scene}/logs/views.log",
    benchmark:
        "results/{scene}/benchmarks/views.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        settings=settings_of("views"),
        code=code_of("views"),
        device=DEVICE,
    message:
        "{wildcards.scene}: looking at the asset from all sides."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 views results/{wildcards.scene}/intake "
        "--out results/{wildcards.scene}/views --work results/{wildcards.scene}/.work/views "
        "--settings-json {params.settings:q} {params.device} > {log} 2>&1"


# It also writes the folder frames.
rule generate:
    input:
        cameras="results/{scene}/views/cameras.json",
        record="results/{scene}/views/stage.json",
    output:
        clips="results/{scene}/generate/clips.mp4",
        sheet="results/{scene}/generate/sheet.png",
        record="results/{scene}/generate/stage.json",
    log:
        "results/{scene}/logs/generate.log",
    benchmark:
        "results/{scene}/benchmarks/generate.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(24000),
        runtime=growing(240),
    params:
        settings=settings_of("generate"),
        prompt=told("motion"),
        profile=profile_of,
        models=models_of("generate"),
        code=code_of("generate"),
        device=DEVICE,
    message:
        "{wildcards.scene}: imagining all sides at once: '{params.prompt}'."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 generate results/{wildcards.scene}/views "
        "--prompt {params.prompt:q} "
        "--out results/{wildcards.scene}/generate --work results/{wildcards.scene}/.work/generate "
        "--settings-json {params.settings:q} --profile {params.profile:q} {params.device} > {log} 2>&1"


rule reconstruct:
    input:
        asset="results/{scene}/intake/stage.json",
        views="results/{scene}/views/stage.json",
        clips="results/{scene}/generate/stage.json",
    output:
        cloud="results/{scene}/reconstruct/gaussians.safetensors",
        sheet="results/{scene}/reconstruct/sheet.png",
        record="results/{scene}/reconstruct/stage.json",
    log:
        "results/{scene}/logs/reconstruct.log",
    benchmark:
        "results/{scene}/benchmarks/reconstruct.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        settings=settings_of("reconstruct"),
        code=code_of("reconstruct"),
        device=DEVICE,
    message:
        "{wildcards.scene}: finding the motion in what was imagined."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 reconstruct results/{wildcards.scene}/intake "
        "--views results/{wildcards.scene}/views --videos results/{wildcards.scene}/generate "
        "--out results/{wildcards.scene}/reconstruct --work results/{wildcards.scene}/.work/reconstruct "
        "--settings-json {params.settings:q} {params.device} > {log} 2>&1"


rule polish:
    input:
        cloud="results/{scene}/reconstruct/gaussians.safetensors",
        record="results/{scene}/reconstruct/stage.json",
        views="results/{scene}/views/stage.json",
        clips="results/{scene}/generate/stage.json",
    output:
        cloud="results/{scene}/polish/gaussians.safetensors",
        sheet="results/{scene}/polish/sheet.png",
        record="results/{scene}/polish/stage.json",
    log:
        "results/{scene}/logs/polish.log",
    benchmark:
        "results/{scene}/benchmarks/polish.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(24000),
        runtime=growing(240),
    params:
        settings=settings_of("polish"),
        prompt=told("motion"),
        profile=profile_of,
        models=models_of("polish"),
        code=code_of("polish"),
        device=DEVICE,
    message:
        "{wildcards.scene}: polishing the motion, told '{params.prompt}'."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 polish results/{wildcards.scene}/reconstruct "
        "--views results/{wildcards.scene}/views --videos results/{wildcards.scene}/generate "
        "--prompt {params.prompt:q} "
        "--out results/{wildcards.scene}/polish --work results/{wildcards.scene}/.work/polish "
        "--settings-json {params.settings:q} --profile {params.profile:q} {params.device} > {log} 2>&1"


rule mesh:
    input:
        asset="results/{scene}/intake/stage.json",
        cloud="results/{scene}/polish/gaussians.safetensors",
        record="results/{scene}/polish/stage.json",
    output:
        animation="results/{scene}/mesh/animated.glb",
        sheet="results/{scene}/mesh/sheet.png",
        record="results/{scene}/mesh/stage.json",
    log:
        "results/{scene}/logs/mesh.log",
    benchmark:
        "results/{scene}/benchmarks/mesh.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings_of("mesh"),
        code=code_of("mesh"),
    message:
        "{wildcards.scene}: moving the asset's own mesh."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 animate-mesh results/{wildcards.scene}/intake "
        "--motion results/{wildcards.scene}/polish "
        "--out results/{wildcards.scene}/mesh --work results/{wildcards.scene}/.work/mesh "
        "--settings-json {params.settings:q} > {log} 2>&1"
