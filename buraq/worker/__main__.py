"""`python -m buraq.worker`: a child of a worker process, which starts it. Patches first, as the worker did."""

from gevent import monkey

monkey.patch_all()

from buraq.worker.inside import main

if __name__ == "__main__":
    main()
