# One scene, stage by stage, from a picture; asset.smk has the stages from an asset. A stage's folder
# holds its results; checkpoints lie in .work, which Snakemake does not own: a job that was killed
# goes on where it stopped. In `params` stands what makes a stage run again: its settings, what it is
# told, its models and its code, of itself alone.
#
# What `invert` makes can be shared between workflows: with SNAKEMAKE_OUTPUT_CACHE set to a folder, and
# --cache. Such a rule may have no benchmark; stage.json has seconds and memory.
CACHE = "SNAKEMAKE_OUTPUT_CACHE" in os.environ


# It also writes depth.png and normal.png, if the profile has a depth model: no outputs, therefore.
rule preprocess:
    input:
        image=lambda wildcards: ask(PLAN.image, wildcards.scene),
    output:
        rgba="results/{scene}/preprocess/rgba.png",
        mask="results/{scene}/preprocess/mask.png",
        record="results/{scene}/preprocess/stage.json",
    log:
        "results/{scene}/logs/preprocess.log",
    benchmark:
        "results/{scene}/benchmarks/preprocess.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        settings=settings_of("preprocess"),
        profile=profile_of,
        models=models_of("preprocess"),
        code=code_of("preprocess"),
        device=DEVICE,
    message:
        "{wildcards.scene}: cutting out the subject of {input.image}."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 preprocess {input.image:q} "
        "--out results/{wildcards.scene}/preprocess --work results/{wildcards.scene}/.work/preprocess "
        "--settings-json {params.settings:q} --profile {params.profile:q} {params.device} > {log} 2>&1"


rule invert:
    input:
        rgba="results/{scene}/preprocess/rgba.png",
        record="results/{scene}/preprocess/stage.json",
    output:
        token="results/{scene}/invert/token.safetensors",
        samples="results/{scene}/invert/samples.png",
        record="results/{scene}/invert/stage.json",
    log:
        "results/{scene}/logs/invert.log",
    cache: CACHE
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        settings=settings_of("invert"),
        word=told("word"),
        profile=profile_of,
        models=models_of("invert"),
        code=code_of("invert"),
        device=DEVICE,
    message:
        "{wildcards.scene}: learning a word for the subject, from '{params.word}'."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 invert results/{wildcards.scene}/preprocess "
        "--word {params.word:q} "
        "--out results/{wildcards.scene}/invert --work results/{wildcards.scene}/.work/invert "
        "--settings-json {params.settings:q} --profile {params.profile:q} {params.device} > {log} 2>&1"


rule static:
    input:
        rgba="results/{scene}/preprocess/rgba.png",
        record="results/{scene}/preprocess/stage.json",
        token=token_of("static"),
    output:
        field="results/{scene}/static/field.safetensors",
        views="results/{scene}/static/views.png",
        record="results/{scene}/static/stage.json",
    log:
        "results/{scene}/logs/static.log",
    benchmark:
        "results/{scene}/benchmarks/static.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(12000),
        runtime=growing(240),
    params:
        settings=settings_of("static"),
        words=static_words,
        profile=profile_of,
        models=models_of("static"),
        code=code_of("static"),
        device=DEVICE,
    message:
        "{wildcards.scene}: making a scene that stands still."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 static results/{wildcards.scene}/preprocess "
        "{params.words:q} "
        "--out results/{wildcards.scene}/static --work results/{wildcards.scene}/.work/static "
        "--settings-json {params.settings:q} --profile {params.profile:q} {params.device} > {log} 2>&1"


rule dynamic:
    input:
        rgba="results/{scene}/preprocess/rgba.png",
        field="results/{scene}/static/field.safetensors",
        record="results/{scene}/static/stage.json",
    output:
        field="results/{scene}/dynamic/field.safetensors",
        sheet="results/{scene}/dynamic/sheet.png",
        record="results/{scene}/dynamic/stage.json",
    log:
        "results/{scene}/logs/dynamic.log",
    benchmark:
        "results/{scene}/benchmarks/dynamic.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(16000),
        runtime=growing(480),
    params:
        settings=settings_of("dynamic"),
        prompt=told("motion"),
        profile=profile_of,
        models=models_of("dynamic"),
        code=code_of("dynamic"),
        device=DEVICE,
    message:
        "{wildcards.scene}: making it move: '{params.prompt}'."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 dynamic results/{wildcards.scene}/static "
        "--subject results/{wildcards.scene}/preprocess --prompt {params.prompt:q} "
        "--out results/{wildcards.scene}/dynamic --work results/{wildcards.scene}/.work/dynamic "
        "--settings-json {params.settings:q} --profile {params.profile:q} {params.device} > {log} 2>&1"


rule refine:
    input:
        rgba="results/{scene}/preprocess/rgba.png",
        token=token_of("refine"),
        field="results/{scene}/dynamic/field.safetensors",
        record="results/{scene}/dynamic/stage.json",
    output:
        field="results/{scene}/refine/field.safetensors",
        sheet="results/{scene}/refine/sheet.png",
        record="results/{scene}/refine/stage.json",
    log:
        "results/{scene}/logs/refine.log",
    benchmark:
        "results/{scene}/benchmarks/refine.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(16000),
        runtime=growing(480),
    params:
        settings=settings_of("refine"),
        prompt=refine_prompt,
        token=token_words,
        profile=profile_of,
        models=models_of("refine"),
        code=code_of("refine"),
        device=DEVICE,
    message:
        "{wildcards.scene}: refining, told '{params.prompt}'."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 refine results/{wildcards.scene}/dynamic "
        "--subject results/{wildcards.scene}/preprocess {params.token:q} --prompt {params.prompt:q} "
        "--out results/{wildcards.scene}/refine --work results/{wildcards.scene}/.work/refine "
        "--settings-json {params.settings:q} --profile {params.profile:q} {params.device} > {log} 2>&1"


rule render:
    input:
        shown=shown_of,
    output:
        video="results/{scene}/render/video.mp4",
        turntable="results/{scene}/render/turntable.mp4",
        front="results/{scene}/render/front.mp4",
        side="results/{scene}/render/side.mp4",
        back="results/{scene}/render/back.mp4",
        sheet="results/{scene}/render/sheet.png",
        poster="results/{scene}/render/poster.png",
        record="results/{scene}/render/stage.json",
    log:
        "results/{scene}/logs/render.log",
    benchmark:
        "results/{scene}/benchmarks/render.tsv"
    priority: 1  # the video is what one waits for
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        shown=lambda wildcards, input: Path(input.shown[0]).parent,
        settings=settings_of("render"),
        code=code_of("render"),
        device=DEVICE,
    message:
        "{wildcards.scene}: rendering the videos."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 render {params.shown} "
        "--out results/{wildcards.scene}/render --work results/{wildcards.scene}/.work/render "
        "--settings-json {params.settings:q} {params.device} > {log} 2>&1"


rule export:
    input:
        field="results/{scene}/refine/field.safetensors",
        record="results/{scene}/refine/stage.json",
    output:
        animation="results/{scene}/export/animated.glb",
        mesh="results/{scene}/export/mesh.ply",
        sheet="results/{scene}/export/sheet.png",
        record="results/{scene}/export/stage.json",
    log:
        "results/{scene}/logs/export.log",
    benchmark:
        "results/{scene}/benchmarks/export.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings_of("export"),
        code=code_of("export"),
        device=DEVICE,
    message:
        "{wildcards.scene}: exporting an animated mesh."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 export results/{wildcards.scene}/refine "
        "--out results/{wildcards.scene}/export --work results/{wildcards.scene}/.work/export "
        "--settings-json {params.settings:q} {params.device} > {log} 2>&1"


rule truth:
    input:
        lambda wildcards: ask(PLAN.truth_file, wildcards.scene),
    output:
        "results/{scene}/truth/bundle.json",
    log:
        "results/{scene}/logs/truth.log",
    benchmark:
        "results/{scene}/benchmarks/truth.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        truth=lambda wildcards: ask(PLAN.truth, wildcards.scene),
        code=code_of("truth"),
    message:
        "{wildcards.scene}: drawing the truth to be scored against."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 toybox render --force "
        "--seed {params.truth.seed} --species {params.truth.species:q} --motion {params.truth.motion:q} "
        "--size 64 --views 8 --frames 16 --out results/{wildcards.scene}/truth > {log} 2>&1"


rule evaluate:
    input:
        scored=scored_of,
        truth=truth_of,
    output:
        metrics="results/{scene}/evaluate/metrics.json",
        sheet="results/{scene}/evaluate/sheet.png",
        record="results/{scene}/evaluate/stage.json",
    log:
        "results/{scene}/logs/evaluate.log",
    benchmark:
        "results/{scene}/benchmarks/evaluate.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        settings=settings_of("evaluate"),
        prompt=told("motion"),
        subject=told("subject"),
        truth=lambda wildcards, input: (
            f"--truth results/{wildcards.scene}/truth" if input.truth else ""
        ),
        profile=profile_of,
        models=models_of("evaluate"),
        code=code_of("evaluate"),
        device=DEVICE,
    message:
        "{wildcards.scene}: scoring."
    shell:
        "ANIMATE124_THREADS={threads} python -m animate124 evaluate results/{wildcards.scene} "
        "--prompt {params.prompt:q} --subject {params.subject:q} {params.truth} "
        "--out results/{wildcards.scene}/evaluate --work results/{wildcards.scene}/.work/evaluate "
        "--settings-json {params.settings:q} --profile {params.profile:q} {params.device} > {log} 2>&1"


rule publish_video:
    input:
        video="results/{scene}/render/video.mp4",
        sheet="results/{scene}/render/sheet.png",
    output:
        video="results/{scene}/video.mp4",
        sheet="results/{scene}/sheet.png",
    log:
        "results/{scene}/logs/publish-video.log",
    priority: 1
    conda:
        "../../environment.yml"
    message:
        "{wildcards.scene}: {output.video} is ready."
    shell:
        "cp {input.video} {output.video} 2> {log} && cp {input.sheet} {output.sheet} 2>> {log}"


rule publish_mesh:
    input:
        mesh_of,
    output:
        "results/{scene}/animated.glb",
    log:
        "results/{scene}/logs/publish-mesh.log",
    conda:
        "../../environment.yml"
    message:
        "{wildcards.scene}: {output} is ready."
    shell:
        "cp {input} {output} 2> {log}"


use rule publish_mesh as publish_metrics with:
    input:
        "results/{scene}/evaluate/metrics.json",
    output:
        "results/{scene}/metrics.json",
    log:
        "results/{scene}/logs/publish-metrics.log",


rule scene:
    input:
        files_of,
    output:
        touch("results/{scene}/all"),
    message:
        "{wildcards.scene}: everything is made."
