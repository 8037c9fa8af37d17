# The page of all scenes. If some fail, `onerror` writes it of those that are done.

REPORT = "python -m animate124 report --results results --out results/report.html"


rule report:
    input:
        "results/report.html",


rule report_page:
    input:
        expand("results/{scene}/all", scene=PLAN.scenes),
    output:
        "results/report.html",
    log:
        "results/logs/report.log",
    conda:
        "../../environment.yml"
    params:
        scenes=list(PLAN.scenes),
    message:
        "Writing {output}."
    shell:
        f"{REPORT} {{params.scenes}} > {{log}} 2>&1"
