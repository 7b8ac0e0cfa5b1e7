"""Bring your own data: understand a file nobody described, ask what cannot be told, and declare it.

``layout`` reads how a file is written (separator, header, dates, decimal mark), ``compare`` holds its values against
what is known already, ``understand`` puts both together into an address and questions, ``declare`` writes it down.
"""
